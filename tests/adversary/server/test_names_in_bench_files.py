"""What a bench file may have called, and what not."""

from __future__ import annotations

import pytest

from bench.config.names import load_name
from bench.errors import ConfigError


@pytest.mark.parametrize(
    "name", ["os:system", "posix:system", "subprocess:run", "builtins:exec", "os.path:join", "shutil:rmtree"]
)
def test_nothing_of_python_s_own_library_is_a_plant_or_a_provider(name: str) -> None:
    with pytest.raises(ConfigError, match="Python's own library"):
        load_name(name, "bench.plant")


def test_the_plants_of_the_bench_are() -> None:
    assert load_name("bench.virtual.plant:VirtualBench", "bench.plant") is not None
