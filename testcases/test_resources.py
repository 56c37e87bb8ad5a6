"""What object 5 tells about itself, before anything is updated.

OMA LightweightM2M-1.0-int-751 (query readable resources), -755 (set Package), -756 (set Package
URI), -760 (observe).
"""

from itertools import pairwise

import pytest

from bench.errors import NotApplicable
from bench.firmware_update.states import Delivery, Result, State, Transport, in_words

FIRMWARE_UPDATE, ADVANCED = 5, "1.0"
"""Object 5; and the only version of object 33629, the other that takes an application."""
BROUGHT_BY = {"1.1": ("1.0",), "1.2": ("1.1", "1.2")}
"""Versions of object 5 that a version of LwM2M brings; 1.2 is one of the registry, after LwM2M 1.2."""
METHODS = {frozenset({"pull"}): 0, frozenset({"push"}): 1, frozenset({"push", "pull"}): 2}
"""Firmware Update Delivery Method (OMA object 5, resource 9), by how the board takes packages."""


@pytest.mark.requirement(
    "LightweightM2M-1.0-int-751",
    "OMA-5-0-not-readable",
    "OMA-5-3-values",
    "OMA-5-3-idle-at-first",
    "OMA-5-8-protocols",
    "OMA-5-9-method",
)
def test_readable_resources(dut, server, object5):
    """State, result, delivery method and protocol support have values that object 5 knows."""
    values = object5.read()

    found = in_words(State(values[3]), Result(values[5]))
    assert found == in_words(State.IDLE, Result.INITIAL), "State and Update Result of a fresh device"
    assert values[9] == METHODS[frozenset(dut.type.profile.delivery)], "Delivery Method"
    supported = {
        transport.protocol for transport in Transport if transport.value in dut.type.profile.transports
    }
    assert set(values.get(8, {0: 0}).values()) >= supported, "Protocol Support"
    assert 0 not in values, "Package must not be readable"


@pytest.mark.requirement(
    "LightweightM2M-1.0-int-751", "OMA-5-mandatory", "LwM2M-1.0-5.4.2", "LwM2M-1.0-6.1-mandatory"
)
def test_discover_names_the_mandatory_resources(dut, server, object5):
    """Discover of the instance lists every mandatory resource of the object."""
    listed = {link.target for link in server.client(dut).discover(object5.instance)}
    assert {f"{object5.instance}/{number}" for number in (0, 1, 2, 3, 5, 9)} <= listed


@pytest.mark.requirement("LwM2M-1.1-7.2.3-version")
def test_version_of_the_object_is_told(dut, server, object5):
    """By "ver" in the registration where it is not the one that the client's LwM2M version brings."""
    registration = server.client(dut).registration
    number = int(object5.instance.split("/")[1])
    told = registration.object_versions.get(number)
    held = dut.type.profile.object if number == FIRMWARE_UPDATE else ADVANCED
    if told is not None:
        assert told == held, f"/{number} is registered with version {told}, by its board file it is {held}"
    elif registration.version != "1.0":  # LwM2M 1.0 lets a client leave it out (6.2.3)
        brings = BROUGHT_BY[registration.version] if number == FIRMWARE_UPDATE else (ADVANCED,)
        said = f"/{number} registered without ver, by a client of LwM2M {registration.version}"
        assert held in brings, f"{said}, is version {' or '.join(brings)}; by its board file it is {held}"


@pytest.mark.requirement("LightweightM2M-1.0-int-751", "OMA-5-11-values")
@pytest.mark.object5("1.1", "1.2")
def test_resources_of_version_1_1(dut, server, object5):
    """Severity and Maximum Defer Period, where it has them, are kept as written; Cancel is not readable."""
    has = object5.read()
    written = {number: value for number, value in {11: 0, 13: 3600}.items() if number in has}
    for number, value in written.items():
        assert object5.write(number, value).taken
    assert 11 not in written or object5.write(11, 3).refused, "Severity 3 does not exist"
    values = object5.read()
    assert {number: values.get(number) for number in written} == written
    assert 10 not in values, "Cancel must not be readable"


APART, WHOLE_SECONDS = 30, 2
"""Seconds between two changes of State, and by which times in whole seconds may be off."""


@pytest.mark.requirement("OMA-5-12-before-state")
@pytest.mark.object5("1.1", "1.2")
@pytest.mark.delivery("push")
def test_last_state_change_is_told(dut, server, images, object5, clock):
    """Last State Change Time, where it has one, is that of the change to the State that is shown."""
    if object5.read().get(12) is None:
        raise NotApplicable("the device has no Last State Change Time (resource 12), which is optional")
    with server.begin(dut, images.update) as update:
        update.deliver(0.1)
        downloading = object5.read()[12]
        clock.sleep(APART, "the changes of State lie apart")
        begun = clock.now()
        update.deliver()
        assert update.await_downloaded()
        downloaded = object5.read()[12]
        server.make_idle(dut)
        idle = object5.read()[12]
        took = clock.now() - begun + WHOLE_SECONDS
    path = f"{object5.instance}/12, Last State Change Time"
    if update.record.rules.hidden:
        assert idle > downloading, path
        return  # it does not show each State that the changes are of
    apart = downloaded - downloading
    assert apart >= APART - WHOLE_SECONDS, f"{path}: Downloaded {apart} s after Downloading, wanted {APART} s"
    apart = idle - downloaded
    assert 0 <= apart <= took, f"{path}: Idle {apart} s after Downloaded, wanted {took:.0f} s at most"


@pytest.mark.requirement(
    "LightweightM2M-1.0-int-755",
    "OMA-5-0-write",
    "OMA-5-3-reset-by-package",
    "OMA-5-3-downloaded",
    "OMA-5-7-version",
    "OMA-3-3-version",
)
@pytest.mark.delivery("push")
def test_package_written(dut, server, images, object5):
    """The NULL package gives Idle, result 0; an image then gives Downloaded, result 0, and its version."""
    assert object5.write_package(b"\0").taken
    assert object5.shows(State.IDLE, Result.INITIAL)

    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.record.shows(State.DOWNLOADED, Result.INITIAL)
        wanted = dut.type.version.package or images.update.version
        told = object5.read().get(7) or wanted  # optional, and empty where it is not known
        assert told == wanted, f"{object5.instance}/7, PkgVersion"
        assert server.version_of(dut) == images.baseline.version, "what is Downloaded does not run yet"
        assert object5.write_package(b"\0").taken
        assert update.await_pair(State.IDLE, Result.INITIAL, timeout=dut.type.timeouts.boot)
        assert update.record.violations == []


@pytest.mark.requirement(
    "LightweightM2M-1.0-int-756", "OMA-5-1-read-write", "OMA-5-3-reset-by-uri", "OMA-5-3-downloaded"
)
@pytest.mark.delivery("pull")
def test_package_uri_written(dut, server, images, object5):
    """The URI can be read back while the package is fetched; an empty one gives Idle, result 0."""
    with server.begin(dut, images.update, Delivery.PULL) as update:
        update.deliver(0.1)
        uri = object5.read()[1]
        assert uri.endswith(".bin"), f"{object5.instance}/1, Package URI, reads {uri!r} while it is fetched"
        update.deliver()
        assert update.await_downloaded()
        assert update.record.shows(State.DOWNLOADED, Result.INITIAL)
        assert object5.write_uri("").taken
        assert update.await_pair(State.IDLE, Result.INITIAL, timeout=dut.type.timeouts.boot)
        left = object5.read().get(1, "")
        assert left == "", f"{object5.instance}/1, Package URI, reads {left!r} after an empty one was written"
        assert update.record.violations == []


@pytest.mark.requirement(
    "LightweightM2M-1.0-int-760",
    "LwM2M-1.0-5.1.2-pmin",
    "LwM2M-1.0-5.1.2-pmax",
    "LwM2M-1.0-5.4.4",
    "LwM2M-1.0-5.5.3",
    "LwM2M-T-6.4.5-cancel",
    "RFC7641-3.6-deregister",
)
def test_state_is_observed_within_pmin_and_pmax(dut, server, object5, clock):
    """With pmin 2 and pmax 10 notifications come at least every 10 s, and never closer than 2 s."""
    heard = []
    client = server.client(dut)

    async def observe():
        await client.write_attributes_async(object5.state_path, pmin=2, pmax=10)
        return await client.observe(
            object5.state_path, lambda value: heard.append((clock.now(), State(value)))
        )

    link = dut.type.timeouts.round_trip
    observation = clock.run(observe(), timeout=300, reason=f"observe {object5.state_path}")
    observed = clock.now()
    clock.sleep(45 + link, "notifications by pmax")
    arrived = len(server.notifications_from(dut, since=observed))
    clock.run(observation.cancel(), timeout=300, reason="cancel")
    clock.sleep(link, "what was under way arrives")
    told = len(heard)
    cancelled = clock.now()
    clock.sleep(25, "a cancelled observation is silent")

    assert server.notifications_from(dut, since=cancelled) == [], "a cancelled observation is not silent"
    assert len(heard) == told
    stale = "; their Observe numbers do not increase (RFC 7641, 4.4)" if arrived >= 4 > told else ""
    assert told >= 4, f"{told} notifications in 45 s, pmax is 10 s; {arrived} have arrived{stale}"
    states = {state for _, state in heard}
    assert states == {State.IDLE}, f"{object5.state_path} of a device that nobody updates: {states}"
    times = [time for time, _ in heard]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) >= 2 - link, "notifications closer than pmin"
    assert times[-1] - times[0] >= 2 * len(gaps) - link, "notifications closer than pmin, on the whole"
    assert max(gaps) <= 10 + link, "notifications further apart than pmax"
