"""The device's radio: service lost and found again, what it reports, power saving mode."""

from __future__ import annotations

import re

import aiocoap
import pytest
from firmware_rig import Persistent, Rig, Server

DEAD, GOOD = 60.0, 0.0
"""dB: -140 dBm, where there is no service, and -80."""


def lines(rig: Rig, text: str) -> int:
    return sum(text in line for line in rig.lines)


def ask(rig: Rig, command: str) -> list[str]:
    mark = len(rig.lines)
    rig.type(command)
    return rig.lines[mark:]


def test_service_is_lost_after_the_release_time_and_found_again(rig: Rig, server: Server) -> None:
    rig.path.attenuation = DEAD
    rig.clock.sleep(1.5, "radio link failure is not declared at once")
    assert lines(rig, "service lost") == 0
    rig.clock.sleep(1.0, "now it is")
    assert lines(rig, "service lost") == 1
    rig.clock.sleep(300, "out of coverage")
    rig.path.attenuation = GOOD
    rig.wait_line("net: attached", timeout=70, since=len(rig.lines))
    assert server.get("/3/0/3", accept=0).payload == b"1.0.0"


def test_a_fade_shorter_than_the_release_time_loses_packets_only(rig: Rig, server: Server) -> None:
    rig.path.attenuation = DEAD
    rig.clock.sleep(1.0, "a short fade")
    rig.path.attenuation = GOOD
    rig.clock.sleep(10, "after it")
    assert lines(rig, "service lost") == 0


def test_searching_backs_off(rig: Rig) -> None:
    """Looks become rarer: a radio that searched all the time would empty the battery."""
    rig.path.attenuation = DEAD
    rig.clock.sleep(4, "until it is lost")
    rig.activities.clear()
    rig.clock.sleep(600, "out of coverage")
    searches = rig.activities.count("attach")
    assert 8 <= searches <= 14
    assert rig.activities.count("radio off") >= searches - 1


def test_a_device_that_boots_without_coverage_registers_when_there_is_some(start, server: Server) -> None:
    rig = start()
    rig.path.attenuation = DEAD
    rig.power_off()
    rig.lines.clear()
    rig.power_on()
    rig.clock.sleep(120, "no coverage")
    assert lines(rig, "net: attaching") == 1
    assert lines(rig, "net: attached") == 0
    rig.path.attenuation = GOOD
    rig.wait_line("lwm2m: registered", timeout=120)


@pytest.mark.parametrize(("attenuation", "dbm"), [(0.0, -80), (25.0, -105), (40.0, -120)])
def test_cesq_and_object_4_tell_the_strength(rig: Rig, server: Server, attenuation: float, dbm: int) -> None:
    rig.path.attenuation = attenuation
    said, ok = ask(rig, "AT+CESQ")
    found = re.fullmatch(r"\+CESQ: 99,99,255,255,(\d+),(\d+)", said)
    assert found is not None
    assert ok == "OK"
    assert int(found[2]) - 141 <= dbm <= int(found[2]) - 140  # 3GPP TS 36.133: one dB each
    assert -20 <= (int(found[1]) - 40) / 2 <= -3
    assert int(server.get("/4/0/2", accept=0).payload) == pytest.approx(dbm, abs=1)


def test_coneval_has_seventeen_fields(rig: Rig) -> None:
    rig.path.attenuation = 38.0  # -118 dBm
    said, ok = ask(rig, "AT%CONEVAL")
    fields = said.removeprefix("%CONEVAL: ").split(",")
    assert ok == "OK"
    assert len(fields) == 17
    assert fields[0] == "0"
    assert int(fields[3]) - 140 == pytest.approx(-118, abs=1)
    assert int(fields[13]) == 23  # dBm
    assert int(fields[14]) == 8  # repetitions


def test_coneval_goes_on_below_the_table_of_cesq(rig: Rig) -> None:
    """nRF9160 AT Commands: `%CONEVAL` has -17 to -1 for -156 to -140 dBm, `+CESQ` 0 for all of them."""
    rig.path.attenuation = 62.5  # -142.5 dBm, and the service is not lost yet
    said, _ = ask(rig, "AT%CONEVAL")
    assert -5 <= int(said.split(",")[3]) <= -1
    assert ask(rig, "AT+CESQ")[0].endswith(",0")
    rig.path.attenuation = 90.0
    assert ask(rig, "AT%CONEVAL")[0].split(",")[3] == "-17"


def test_without_service_the_signal_is_unknown(rig: Rig) -> None:
    rig.path.attenuation = DEAD
    rig.clock.sleep(4, "until it is lost")
    assert ask(rig, "AT+CESQ") == ["+CESQ: 99,99,255,255,255,255", "OK"]
    assert ask(rig, "AT%CONEVAL") == ["%CONEVAL: 1", "OK"]
    assert ask(rig, "AT+CEREG?") == ["+CEREG: 0,2", "OK"]


def test_an_unknown_at_command_is_an_error(rig: Rig) -> None:
    assert ask(rig, "AT+NONSENSE") == ["ERROR"]


def test_power_saving_mode_begins_after_the_active_time_and_is_kept(start, server: Server) -> None:
    rig = start(lifetime=86_400)
    assert "Q" not in server.registrations[-1].query
    assert ask(rig, "AT+CPSMS=1") == ["OK"]
    rig.clock.sleep(60, "it stays reachable")
    assert "psm" not in rig.activities
    assert "Q" in server.registrations[-1].query  # LwM2M 1.1: it may sleep
    assert server.get("/3/0/3", accept=0).code == aiocoap.CONTENT
    rig.clock.sleep(115, "active time")
    assert rig.activities[-1] == "psm"
    rig.power_off()
    rig.activities.clear()
    rig.power_on()
    rig.wait_line("lwm2m: registered", timeout=60, since=len(rig.lines))
    assert ask(rig, "AT+CPSMS?") == ["+CPSMS: 1", "OK"]
    rig.clock.sleep(130, "active time")
    assert rig.activities[-1] == "psm"


def test_asleep_nothing_reaches_it_until_it_sends(start, server: Server) -> None:
    rig = start(lifetime=300)
    ask(rig, "AT+CPSMS=1")
    rig.clock.sleep(130, "asleep")
    assert rig.activities[-1] == "psm"
    taken = len(rig.activities)
    request = rig.clock.loop.create_task(server.ask(aiocoap.GET, "/3/0/3"))
    rig.clock.sleep(20, "nobody is there to be paged")
    assert len(rig.activities) == taken
    assert not request.done()
    rig.clock.sleep(120, "until it renews its registration")
    assert len(rig.activities) > taken
    request.cancel()


def test_in_extended_drx_the_device_is_reached_once_a_cycle(start, server: Server) -> None:
    rig = start(lifetime=86_400)
    assert ask(rig, 'AT+CEDRXS=1,4,"0101"') == ["OK"]
    assert ask(rig, "AT+CEDRXS?") == ['+CEDRXS: 4,"0101"', "OK"]
    rig.clock.sleep(30, "the network releases the connection")
    assert rig.activities[-1] == "edrx"
    asked = rig.clock.now()
    code, value = server.run(patient(server))
    assert (code, value) == (aiocoap.CONTENT, b"1.0.0")
    assert 40 < rig.clock.now() - asked <= 82 + 5
    assert ask(rig, "AT+CEDRXS=0") == ["OK"]
    asked = rig.clock.now()
    assert server.get("/3/0/3", accept=0).payload == b"1.0.0"
    assert rig.clock.now() - asked < 2


async def patient(server: Server) -> tuple[aiocoap.Code, bytes]:
    """A read whose retransmissions outlast a cycle."""
    answer = await server.ask(aiocoap.GET, "/3/0/3", accept=0, tuning=Persistent)
    return answer.code, answer.payload
