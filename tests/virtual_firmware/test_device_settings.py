"""The virtual device's settings: nothing stored is lost, wherever the supply fails."""

from __future__ import annotations

from collections.abc import Callable

from firmware_rig import ENDPOINT, SETTINGS, Rig, Server

from bench.virtual.clock import VirtualClock
from bench.virtual.firmware.settings import Settings
from bench.virtual.process import Steps
from bench.virtual.scheduler import Scheduler


def loaded(rig: Rig) -> Settings:
    settings = Settings(rig, SETTINGS)
    settings.load()
    return settings


def run(rig: Rig, steps: Steps, until: float = 1000.0) -> None:
    rig.cpu.spawn(steps)
    rig.cpu.scheduler.run_to(rig.now() + until)


def writes(settings: Settings, count: int, done: Callable[[int], None] = lambda n: None) -> Steps:
    for n in range(count):
        yield from settings.put("counter", n)
        done(n)
        yield from settings.put(f"key{n % 5}", "v" * 60)


def test_values_come_back_after_many_more_writes_than_fit(clock: VirtualClock) -> None:
    rig = Rig(clock)
    settings = loaded(rig)
    run(rig, settings.put("constant", [1, "two"]))
    run(rig, writes(settings, 1500), 10_000)
    again = loaded(rig)
    assert again.values == settings.values
    assert again.values["counter"] == 1499
    assert again.values["constant"] == [1, "two"]
    assert max(rig.flash.wear.values()) > 1  # it did wrap round


def test_no_stored_value_is_lost_wherever_the_supply_fails() -> None:
    """Cuts spread over appends and page changes, torn words included."""
    for cut in range(60):
        clock = VirtualClock(Scheduler(cut))
        rig = Rig(clock)
        settings = loaded(rig)
        run(rig, settings.put("constant", "kept"))
        run(rig, writes(settings, 200), 5000)  # close to, or over, the end of a half
        stored = [199]
        rig.cpu.spawn(writes(settings, 200, stored.append))
        rig.cpu.scheduler.run_to(rig.now() + 0.013 * (cut + 1) ** 1.2)
        rig.flash.interrupt(rig.now())
        rig.cpu.kill()
        again = loaded(rig)
        assert again.values["constant"] == "kept", cut
        # the write under way may or may not count, whole; everything before it must
        assert again.values["counter"] in (stored[-1], (stored[-1] + 1) % 200), cut
        run(rig, again.put("after", "cut"))
        assert loaded(rig).values["after"] == "cut", cut
        assert loaded(rig).values["constant"] == "kept", cut
        clock.close()


def test_writes_at_the_same_time_are_both_kept(clock: VirtualClock) -> None:
    rig = Rig(clock)
    for n in range(40):
        settings = loaded(rig)
        rig.cpu.spawn(settings.put("filler", "f" * 900 + str(n)))
        rig.cpu.spawn(settings.put("other", n))
        rig.cpu.scheduler.run_to(rig.now() + 20)
        again = loaded(rig)
        assert (again.values.get("filler", "")[900:], again.values.get("other")) == (str(n), n), n


def test_empty_and_foreign_flash_read_as_no_settings(clock: VirtualClock) -> None:
    rig = Rig(clock)
    assert loaded(rig).values == {}
    rig.flash.write_now(0, rig.rng.randbytes(SETTINGS.size))
    settings = loaded(rig)
    assert settings.values == {}
    run(rig, settings.put("a", 1))
    assert loaded(rig).values == {"a": 1}


def test_provisioning_outlives_the_supply(rig: Rig, server: Server) -> None:
    rig.power_off()
    rig.power_on()
    server.clock.wait_for(lambda: len(server.registrations) == 2, timeout=60, reason="re-registration")
    assert server.registrations[1].query["ep"] == ENDPOINT
