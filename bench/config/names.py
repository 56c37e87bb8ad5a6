"""Objects that a file names."""

from __future__ import annotations

import importlib
from typing import Any

from bench.errors import ConfigError


def load_name(name: str, where: str) -> Any:
    """The object behind "module:attribute". Raises `ConfigError` naming `where`."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a module may raise anything while it is imported
        raise ConfigError(
            f"{where} = {name!r}: {error}", help='give "module:attribute" of an installed package'
        ) from error
