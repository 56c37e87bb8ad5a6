"""Observations: what a server is told, when, in which format, and for how long.

What is observed is Lifetime (/1/x/1), a resource that every device has and that a server can change.
"""

import pytest
from aiocoap import GET
from aiocoap.numbers.contentformat import ContentFormat

from bench.errors import NotApplicable
from bench.lwm2m.model.content import SENML_CBOR, SENML_JSON, TLV

LONGER = 60
"""Seconds by which Lifetime is raised, so that its value is another."""
LATE = 3.0
"""Seconds by which a notification may be later, or sooner, than it was due: the link's."""
QUIET = 12
"""Seconds in which what should not come does not come."""
WRAP = 260
"""Notifications: more than a number of one byte has room for."""


class Lifetime:
    """The board's Lifetime: written, observed, and what was heard of it, in order."""

    def __init__(self, dut, server, clock):
        self.instance = f"/1/{server.account_of(dut)}"
        self.path = f"{self.instance}/1"
        self.server, self.clock, self.client = server, clock, server.client(dut)
        self.first = self.client.read(self.path)
        self.heard = []

    def write(self, more):
        self.client.write(self.path, self.first + more)

    def observe(self, path=None):
        path = path or self.path

        def heard(value):
            found = value if path == self.path else value[1]
            self.heard.append((self.clock.now(), found))

        return self.clock.run(self.client.observe(path, heard), timeout=300, reason=f"observe {path}")

    def told(self, value, within):
        """Whether a notification brings this value in time; it is in `heard` then."""
        until = self.clock.now() + within
        while value not in [found for _, found in self.heard[1:]] and self.clock.now() < until:
            self.clock.sleep(0.5, f"a notification of {self.path}")
        return value in [found for _, found in self.heard[1:]]


@pytest.fixture
def lifetime(dut, server, clock):
    return Lifetime(dut, server, clock)


@pytest.mark.requirement("LwM2M-1.0-5.1.2-pmin", "LwM2M-1.0-5.1.2-late", "LwM2M-1.0-5.5.2-change")
def test_change_within_pmin(lifetime, clock):
    """It is told neither before pmin is over nor much later, though nothing changes any more."""
    lifetime.client.write_attributes(lifetime.path, pmin=15)
    lifetime.observe()
    begun = clock.now()
    lifetime.write(LONGER)
    assert lifetime.told(lifetime.first + LONGER, 15 + QUIET), "a change within pmin was never told"
    waited = lifetime.heard[1][0] - begun
    assert waited >= 15 - LATE, f"told after {waited:.1f} s, pmin is 15 s"


@pytest.mark.requirement("LwM2M-1.0-5.4.4", "LwM2M-1.0-5.1.2-pmax")
def test_attributes_of_an_instance(lifetime, clock):
    """pmax of the instance holds for its resource, from when it was written, until it is taken back."""
    lifetime.observe()
    lifetime.client.write_attributes(lifetime.instance, pmax=10)
    clock.sleep(35, "notifications by the pmax of the instance")
    assert len(lifetime.heard) > 2, (
        f"told {len(lifetime.heard) - 1} times in 35 s, pmax of {lifetime.instance} is 10 s"
    )
    lifetime.client.write_attributes(lifetime.instance, pmax=None)
    clock.sleep(LATE, "one that was due")
    told = len(lifetime.heard)
    clock.sleep(3 * QUIET, "no pmax is set any more")
    assert len(lifetime.heard) == told, f"pmax was taken back, and {lifetime.path} is told every 10 s"


@pytest.mark.requirement("LwM2M-1.0-5.5.2-change")
def test_observed_instance(lifetime, dut):
    """Who observes an instance is told when one of its resources changes."""
    lifetime.observe(lifetime.instance)
    lifetime.write(LONGER)
    assert lifetime.told(lifetime.first + LONGER, dut.type.timeouts.boot), (
        f"{lifetime.path} has changed, and who observes {lifetime.instance} was not told"
    )


@pytest.mark.requirement("LwM2M-T-6.4.5-cancel", "LwM2M-1.0-5.5.1-remembers")
def test_observation_outlasts_a_read(lifetime, dut):
    """It ends by Observe 1, and not by a GET without Observe."""
    lifetime.observe()
    lifetime.client.read(lifetime.path)
    lifetime.write(LONGER)
    assert lifetime.told(lifetime.first + LONGER, dut.type.timeouts.boot), (
        f"a Read of {lifetime.path} has ended its observation"
    )


@pytest.mark.requirement("OMA-1-8-trigger")
def test_trigger_that_comes_again(lifetime, dut, server, clock):
    """Each Registration Update Trigger makes it send an Update."""
    for number in (1, 2):
        since = clock.now()
        lifetime.client.execute(f"{lifetime.instance}/8")
        due = since + dut.type.timeouts.registration
        while not (events := server.registrations(dut, since=since)) and clock.now() < due:
            clock.sleep(1, f"{dut.endpoint} sends an Update")
        assert events, f"trigger {number}: no Update"


@pytest.mark.requirement("LwM2M-1.0-5.5.1-remembers", "OMA-1-8-trigger")
def test_observation_outlasts_an_update(lifetime, dut, server, clock):
    """An Update of the registration ends no observation."""
    lifetime.observe()
    since = clock.now()
    lifetime.client.execute(f"{lifetime.instance}/8")
    clock.sleep(dut.type.timeouts.boot, "an Update of the registration")
    if "registered" in server.registrations(dut, since=since):
        return  # it has registered anew, which ends observations
    lifetime.write(LONGER)
    assert lifetime.told(lifetime.first + LONGER, dut.type.timeouts.boot), (
        "an Update of the registration has ended the observation"
    )


@pytest.mark.requirement("RFC7641-4.2-format")
@pytest.mark.parametrize("form", [SENML_CBOR, SENML_JSON, TLV], ids=["senml-cbor", "senml-json", "tlv"])
def test_format_of_notifications(dut, server, lifetime, clock, form):
    """They are in the format of the first answer, which was asked for."""
    if form not in lifetime.client.registration.formats:
        raise NotApplicable(f"the device does not say, when it registers, that it speaks {form}")
    by_hand = server.lwm2m.by_hand(dut.endpoint)
    begun = clock.now()
    observe = by_hand.message(GET, lifetime.path)
    observe.opt.observe, observe.opt.accept = 0, ContentFormat(form)
    assert by_hand.ask(observe), f"no answer to Observe of {lifetime.path}"
    lifetime.write(LONGER)
    heard = by_hand.heard(observe, 2, QUIET, begun)
    formats = {int(one.opt.content_format) for one in heard if one.opt.content_format is not None}
    assert formats == {form}, f"the first answer was in {form}, with the notifications it is {formats}"


@pytest.mark.requirement("RFC7641-3.6-forgotten", "RFC7641-3.6-deregister", "LwM2M-1.0-5.5.3")
def test_end_of_another_observation(dut, server, lifetime, object5, clock):
    """The end of one observation, by Cancel, is not that of another."""
    lifetime.observe()
    other = clock.run(
        lifetime.client.observe(object5.state_path, lambda value: None), timeout=300, reason="observe State"
    )
    clock.run(other.cancel(), timeout=300, reason="cancel")
    lifetime.write(LONGER)
    assert lifetime.told(lifetime.first + LONGER, dut.type.timeouts.boot), (
        f"with the observation of {object5.state_path} that of {lifetime.path} was ended"
    )


@pytest.mark.requirement("RFC7641-4.1-same-token")
def test_observed_once_more(dut, server, lifetime, clock):
    """The request to observe comes again, with the token that it had: each value is told once."""
    observation = lifetime.observe()
    by_hand = server.lwm2m.by_hand(dut.endpoint)
    again = by_hand.message(GET, lifetime.path, token=observation.token)
    again.opt.observe = 0
    assert by_hand.ask(again), f"no answer to Observe of {lifetime.path}"
    written = clock.now()
    lifetime.write(LONGER)
    assert lifetime.told(lifetime.first + LONGER, dut.type.timeouts.boot), "nothing is told any more"
    clock.sleep(QUIET, "time for a second notification")
    found = set(server.notifications_from(dut, since=written))  # a repetition reads the same
    told = sorted(one for one in found if "ACK" not in one)  # the answer to the request is none
    assert len(told) == 1, f"told {len(told)} times: there are as many observations; {told}"


@pytest.mark.requirement("RFC7641-4.4-order")
def test_many_notifications(lifetime, clock):
    """Their numbers rise, also past a byte: each is newer than the one before."""
    lifetime.client.write_attributes(lifetime.path, pmin=1, pmax=1)
    lifetime.observe()
    asked = clock.now()
    while len(lifetime.heard) <= WRAP and clock.now() - asked < 10 * WRAP:
        heard = len(lifetime.heard)
        clock.sleep(QUIET, "notifications by pmax")
        assert len(lifetime.heard) > heard, (
            f"after {heard - 1} notifications none is newer: Observe numbers do not rise (RFC 7641, 4.4)"
        )
    lifetime.client.write_attributes(lifetime.path, pmin=None, pmax=None)
