"""Against importlib.metadata, over everything that is installed here."""

from __future__ import annotations

import importlib.metadata

from bench.evidence.distributions import name_and_version


def test_names_and_versions_are_those_of_the_metadata() -> None:
    installed = list(importlib.metadata.distributions())
    assert len(installed) > 20
    for one in installed:
        assert name_and_version(one) == (str(one.metadata["Name"]), str(one.metadata["Version"]))
