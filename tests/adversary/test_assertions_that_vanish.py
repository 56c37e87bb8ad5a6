"""An assertion that fails where pytest does not hear of it: no such test passes."""

from __future__ import annotations

import pytest

PRODUCT = {"test_a": "FAILED"}


@pytest.mark.parametrize(
    "text",
    [
        # a thread
        """
        import threading
        def test_a():
            def look(): assert "1.0.0" == "1.1.0"
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
        """,
        # a future of a pool, whose result nobody asks for
        """
        from concurrent.futures import ThreadPoolExecutor
        def look(): assert "1.0.0" == "1.1.0"
        def test_a():
            with ThreadPoolExecutor() as pool: pool.submit(look)
        """,
        # a task that nobody awaits
        """
        import asyncio
        async def look(): assert "1.0.0" == "1.1.0"
        async def waits():
            held = asyncio.create_task(look())
            await asyncio.sleep(0)
        def test_a(): asyncio.run(waits())
        """,
        # gathered, and its exception taken for a result
        """
        import asyncio
        async def look(): assert "1.0.0" == "1.1.0"
        async def waits(): await asyncio.gather(look(), return_exceptions=True)
        def test_a(): asyncio.run(waits())
        """,
        # a callback of a loop in another thread, as that of an observation is
        """
        import asyncio, threading
        def told(version, done):
            try:
                assert version == "1.1.0"
            finally:
                done.set()
        def test_a():
            loop, done = asyncio.new_event_loop(), threading.Event()
            thread = threading.Thread(target=loop.run_forever, daemon=True)
            thread.start()
            loop.call_soon_threadsafe(told, "1.0.0", done)
            done.wait(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
        """,
        # a callback whose caller swallows whatever it raises
        """
        import threading
        def told(version): assert version == "1.1.0"
        def caller():
            try: told("1.0.0")
            except Exception: pass
        def test_a():
            thread = threading.Thread(target=caller)
            thread.start()
            thread.join()
        """,
        # turned into something else
        """
        from bench.errors import NotApplicable
        def test_a():
            try: assert "1.0.0" == "1.1.0"
            except AssertionError: raise NotApplicable("it has no version") from None
        """,
        # covered by a device that is silent
        """
        import threading
        from bench.errors import WaitTimeout
        def look(): assert "1.0.0" == "1.1.0"
        def test_a():
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
            raise WaitTimeout("it did not register")
        """,
    ],
)
def test_it_fails_the_test(replay, text):
    ended = replay(text, "--bench-retries=0")
    assert ended.verdicts() == PRODUCT, ended.output
    assert ended.status == 1
    assert "1.0.0" in ended.found.tests["test_suite.py::test_a"].reason


@pytest.mark.parametrize("value", ["False", "True", "'1.0.0' == '1.1.0'", "0"])
def test_what_a_testcase_returns_is_no_pass(replay, value):
    ended = replay(f"def test_a(): return {value}\ndef test_b(): pass\n")
    assert ended.verdicts() == {"test_a": "INCONCLUSIVE", "test_b": "PASSED"}, ended.output
    assert ended.status == 6


def test_one_in_a_teardown(replay):
    ended = replay(
        """
        import pytest, threading
        @pytest.fixture
        def looked_after():
            yield
            def look(): assert "1.0.0" == "1.1.0"
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
        def test_a(looked_after): pass
        """
    )
    assert ended.verdicts() == PRODUCT, ended.output


def test_one_that_comes_late_keeps_the_run_from_go(suite):
    """A thread that outlives its test."""
    suite.write(
        """
        import threading
        go = threading.Event()
        def late():
            go.wait(30)
            assert "1.0.0" == "1.1.0"
        thread = threading.Thread(target=late)
        def pytest_runtest_logfinish(nodeid):
            go.set()
            thread.join()
        """,
        "conftest.py",
    )
    suite.write("import conftest\ndef test_a(): conftest.thread.start()\n")
    ended = suite.run()
    assert ended.status == 6, ended.output
    assert any("when no test was running" in text for text in ended.found.why)


def test_plain_assertions_are_told(replay):
    ended = replay("def test_a(): pass\n", "--assert=plain")
    assert ended.status == 6, ended.output
    assert any("--assert=plain" in text for text in ended.found.why)


def test_assertion_in_the_test_itself_is_as_before(replay):
    ended = replay(
        """
        import asyncio
        async def look(): assert "1.0.0" == "1.1.0"
        def test_a(): asyncio.run(look())
        def test_caught():
            try: assert 0
            except AssertionError: pass
        """
    )
    assert ended.verdicts() == {"test_a": "FAILED", "test_caught": "PASSED"}, ended.output
    assert "in a thread" not in ended.found.tests["test_suite.py::test_a"].reason
