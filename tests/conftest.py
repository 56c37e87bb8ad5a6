"""No test depends on a virtual bench that happens to run on this PC, and none hangs for ever.

What tests start, starts quickly.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

LONGEST = 900.0
"""Wall seconds of a test and its fixtures, six times what the slowest takes on a busy machine: one that hangs
must not keep the others from being run. A test that needs more has a mark of its own."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """By a mark: as an option or a variable it would hold for every pytest that tests start, too."""
    if not config.pluginmanager.hasplugin("timeout"):
        return
    for item in items:
        ours = item.path.is_relative_to(Path(__file__).parent)
        if ours and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LONGEST))


@pytest.fixture(autouse=True)
def no_foreign_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_PROBES", raising=False)


@pytest.fixture(scope="session", autouse=True)
def locks_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests in parallel name the same boards, probes and ports, and mean their own simulated ones."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BENCH_LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests start hundreds of processes of Python, most of them pytest: the start is most of their time."""
    with pytest.MonkeyPatch.context() as environment:
        # hypothesis is imported for the summary of every run, and none of these uses it
        environment.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
        if os.environ.get("PYTHONDONTWRITEBYTECODE"):
            # the user wants no bytecode beside the sources: it is kept here, where each process
            # would else compile everything anew
            own = tmp_path_factory.getbasetemp()
            kept = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "bytecode"
            environment.delenv("PYTHONDONTWRITEBYTECODE")
            environment.setenv("PYTHONPYCACHEPREFIX", str(kept))
        yield
