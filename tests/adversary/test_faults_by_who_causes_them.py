"""What a device can have caused is not repeated away; what the bench has caused speaks against nobody."""

from __future__ import annotations

import errno
import inspect

import pytest

from bench import errors
from bench.errors import BenchError, FileError, InstrumentError, NotApplicable
from bench.evidence.verdict import (
    BLAME,
    Attempt,
    Cause,
    Phase,
    Verdict,
    blame_of,
    cause_of,
    is_lasting,
    judge_test,
)

TABLE = {
    # exception: cause, forgotten in setup, forgotten in the test itself
    "ConfigError": (Cause.BENCH, True, True),
    "FileError": (Cause.BENCH, True, True),
    "ImageError": (Cause.BENCH, True, True),
    "ProbeError": (Cause.DEVICE, True, False),
    "LockedError": (Cause.DEVICE, False, False),
    "WrongChipError": (Cause.DEVICE, False, False),
    "FlashError": (Cause.DEVICE, False, False),
    "ConsoleError": (Cause.DEVICE, True, False),
    "InstrumentError": (Cause.BENCH, True, True),
    "InUseError": (Cause.BENCH, True, True),
    "OutputLeftOnError": (Cause.BENCH, True, True),
    "SupplyTripError": (Cause.DEVICE, True, False),
    "NoReadingError": (Cause.DEVICE, True, False),
    "MeasurementError": (Cause.DEVICE, True, False),
    "RadioError": (Cause.DEVICE, True, False),
    "ServerError": (Cause.BENCH, True, True),
    "DeviceError": (Cause.DEVICE, True, False),
    "NetworkError": (Cause.BENCH, True, True),
    "WaitTimeout": (Cause.DEVICE, True, False),
    "ConsoleTimeout": (Cause.DEVICE, True, False),
    "TestTimeout": (Cause.DEVICE, True, False),
    "Inconclusive": (Cause.OTHER, False, False),
    "ReportError": (Cause.BENCH, True, True),
    "LedgerError": (Cause.BENCH, True, True),
    "SignOffError": (Cause.BENCH, True, True),
    "PlantError": (Cause.BENCH, True, True),
    "BenchError": (Cause.BENCH, True, True),
}
CLEAN = Attempt([Phase(when, Cause.NONE) for when in ("setup", "call", "teardown")], ended=True)


def attempt(raised: BaseException, when: str) -> Attempt:
    phases = {
        "setup": [Phase("setup", cause_of(raised), "why", is_lasting(raised)), Phase("teardown", Cause.NONE)],
        "call": [
            Phase("setup", Cause.NONE),
            Phase("call", cause_of(raised), "why", is_lasting(raised)),
            Phase("teardown", Cause.NONE),
        ],
    }
    return Attempt(phases[when], ended=True)


def test_every_fault_is_in_the_table():
    known = {n for n, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, BenchError)}
    assert known == TABLE.keys()
    assert all(row.who for row in BLAME)


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("when", ["setup", "call"])
def test_row_by_row(name, when):
    raised = FileError("x", "is", help="y") if name == "FileError" else getattr(errors, name)("x")
    cause, in_setup, in_call = TABLE[name]
    assert cause_of(raised) is cause
    assert blame_of(raised) is not None
    repeated = judge_test([attempt(raised, when), CLEAN])
    assert (repeated.verdict is Verdict.PASSED) is (in_setup if when == "setup" else in_call)


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOSPC", "ENOMEM"])
def test_what_the_pc_has_run_out_of_is_the_bench(name):
    out_of = OSError(getattr(errno, name), "none left")
    assert cause_of(out_of) is Cause.BENCH
    judged = AssertionError("the device has not registered")
    judged.__context__ = out_of
    assert cause_of(judged) is Cause.OTHER, "it judges nothing"


def test_other_trouble_with_files_is_not_known_to_be_anybodys():
    assert cause_of(FileNotFoundError(errno.ENOENT, "gone")) is Cause.OTHER


def test_instrument_that_fails_after_an_assertion_does_not_have_it_forgotten():
    try:
        try:
            raise AssertionError("version is 1.0.0")
        finally:
            raise InstrumentError("psu: no answer")
    except InstrumentError as raised:
        covered = attempt(raised, "call")
    assert judge_test([covered, CLEAN]).verdict is Verdict.BENCH_ERROR


def test_not_applicable_from_none_after_an_assertion():
    try:
        try:
            raise AssertionError("version is 1.0.0")
        except AssertionError:
            raise NotApplicable("it has no radio") from None
    except NotApplicable as raised:
        found = cause_of(raised)
    assert found is Cause.PRODUCT


@pytest.mark.parametrize(
    "fault",
    [
        'RadioError("modem: RSRP is 99")',
        'RadioError("modem: AT+CESQ was not answered within 5 s")',
        'ConsoleTimeout("console: nothing was printed")',
        'LockedError("probe: the chip is locked")',
        'FlashError("flash: 0x9000 does not verify")',
    ],
)
def test_once_and_then_green(replay, fault):
    name = fault.partition("(")[0]
    ended = replay(
        f"""
        from bench.errors import {name}
        tried = []
        def test_update():
            tried.append(1)
            if len(tried) == 1: raise {fault}
        """
    )
    assert ended.verdicts() == {"test_update": "BENCH_ERROR"}, ended.output
    assert ended.status == 3


@pytest.mark.parametrize("fault", ['LockedError("the chip is locked")', 'FlashError("does not verify")'])
def test_left_so_by_the_update_before(replay, fault):
    """What the next setup meets is what the update has left."""
    name = fault.partition("(")[0]
    ended = replay(
        f"""
        import pytest
        from bench.errors import {name}
        tried = []
        @pytest.fixture
        def dut():
            tried.append(1)
            if len(tried) == 1: raise {fault}
        def test_next(dut): pass
        """
    )
    assert ended.verdicts() == {"test_next": "BENCH_ERROR"}, ended.output


def test_descriptors_exhausted(replay):
    ended = replay(
        """
        import os, resource
        def test_opens():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            held = []
            try:
                while True: held.append(os.open(os.devnull, os.O_RDONLY))
            finally:
                for one in held: os.close(one)
        """,
        "--bench-retries=0",
    )
    assert ended.verdicts() == {"test_opens": "BENCH_ERROR"}, ended.output
    assert ended.status == 3


def test_disk_full_as_the_run_ends(replay):
    """Where pytest itself breaks, the status says bench error and not that the product failed."""
    ended = replay(
        """
        import errno, fixtures.end_of_run
        def full(config): raise OSError(errno.ENOSPC, "No space left on device")
        def test_a(): fixtures.end_of_run.left_behind.put_together = full
        """
    )
    assert ended.status == 3, ended.output
    assert ended.found.exit_status == 3
    assert "No space left on device" in ended.output


def test_time_limit_of_another_plug_in(replay):
    pytest.importorskip("pytest_timeout")
    ended = replay("import time\ndef test_slow(): time.sleep(30)\n", "--timeout=0.5", "--bench-retries=0")
    assert ended.verdicts() == {"test_slow": "INCONCLUSIVE"}, ended.output
    assert ended.status == 6


PLUGIN = """
import sysconfig, types, pytest
code = compile(
    "import pytest\\n"
    "class Plugin:\\n"
    "    def pytest_runtest_setup(self, item): {what}\\n",
    sysconfig.get_paths()["purelib"] + "/some_plugin.py", "exec")
module = types.ModuleType("some_plugin")
exec(code, module.__dict__)
def pytest_configure(config): config.pluginmanager.register(module.Plugin())
"""


@pytest.mark.parametrize("what", ["pytest.fail('too many threads')", "assert 0, 'too many threads'"])
def test_plug_in_that_fails_a_setup(suite, what):
    suite.write(PLUGIN.replace("{what}", what), "conftest.py")
    suite.write("def test_a(): pass\n")
    ended = suite.run()
    assert ended.verdicts() == {"test_a": "INCONCLUSIVE"}, ended.output
    assert ended.status == 6


def test_fixture_that_asserts_in_setup_still_judges(replay):
    ended = replay(
        """
        import pytest
        @pytest.fixture
        def baseline(): pytest.fail("the factory area has changed")
        def test_a(baseline): pass
        """
    )
    assert ended.verdicts() == {"test_a": "FAILED"}, ended.output
