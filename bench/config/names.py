"""Objects that a file names."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from bench.errors import ConfigError


def load_name(name: str, where: str) -> Any:
    """The object behind "module:attribute". Raises `ConfigError` naming `where`.

    Nothing of Python's own library is meant by it, and what is not meant is not called (`os:system`).
    """
    module, _, attribute = name.partition(":")
    if module.partition(".")[0] in {*sys.stdlib_module_names, *sys.builtin_module_names}:
        raise ConfigError(
            f"{where} = {name!r}: {module} is a module of Python's own library",
            help='give "module:attribute" of a package that was written for this',
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a module may raise anything while it is imported
        raise ConfigError(
            f"{where} = {name!r}: {error}", help='give "module:attribute" of an installed package'
        ) from error
