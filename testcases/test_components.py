"""Components beside the application (object 33629): updated one by one, together, or not at all.

Which components a board has, and what they are to each other, is in `[components]` of its board file.
"""

import pytest

from bench.firmware.corrupt import flip_body_bit
from bench.firmware_update.components import ALONE
from bench.firmware_update.states import Result, State
from bench.lwm2m.client import CoapError

pytestmark = pytest.mark.capability("components")

WHOLE_CYCLE = (State.DOWNLOADING, State.DOWNLOADED, State.UPDATING, State.IDLE)


@pytest.mark.requirement("OMA-33629-14-name", "OMA-33629-15-version")
def test_inventory(dut, components):
    """Every component, Idle, with the version that the board left the factory with."""
    found = components.inventory()
    assert {c.name: c.version for c in found.values()} == dut.type.components.installed
    for component in found.values():
        assert component.shows(State.IDLE, Result.INITIAL)
    assert not any(c.linked or c.conflicting for c in found.values())


@pytest.mark.requirement("OMA-33629-no-create")
def test_instances_are_fixed(dut, server, components):
    """None is made, none is deleted."""
    before = versions(components)
    client = server.client(dut)
    name = next(iter(dut.type.components.installed))
    with pytest.raises(CoapError):
        client.create(33629, {})
    with pytest.raises(CoapError):
        client.delete(components.object(name).instance)
    assert versions(components) == before


@pytest.mark.requirement("OMA-33629-independent", "OMA-33629-7-version", "OMA-33629-15-version", "FOTA-STAYS")
@pytest.mark.related("linked")
def test_one_component(dut, server, images, components, delivery):
    """The others, and the application, stay as they were; the new version stays over a power cycle."""
    name, _ = dut.type.components.pair("linked")
    before = versions(components)
    with server.begin_component(dut, name, images.component(name), delivery) as update:
        new = download(update, components, name)
        assert update.execute()
        update.await_finish()
    assert_success(update)
    assert versions(components) == {**before, name: new}
    server.restart(dut)
    assert versions(components) == {**before, name: new}, "the new version did not survive a power cycle"
    dut.assert_running(images.baseline)


@pytest.mark.requirement("OMA-33629-2-together", "OMA-33629-16-linked")
@pytest.mark.related("linked")
def test_linked_components_are_updated_together(dut, server, images, components):
    """Both are Downloaded: Update of one takes the other along."""
    first, second = dut.type.components.pair("linked")
    before = versions(components)
    with (
        server.begin_component(dut, first, images.component(first)) as one,
        server.begin_component(dut, second, images.component(second)) as two,
    ):
        new = {first: download(one, components, first), second: download(two, components, second)}
        assert components[first].linked == (second,)
        assert one.execute()
        one.await_finish()
        two.go_along(one)
    assert_success(one)
    assert_success(two)
    assert versions(components) == {**before, **new}


@pytest.mark.requirement("OMA-33629-2-alone", "OMA-33629-independent")
@pytest.mark.related("linked")
def test_linked_component_alone(dut, server, images, components):
    """The server says that the other one is not to go along: it stays Downloaded."""
    first, second = dut.type.components.pair("linked")
    before = versions(components)
    with (
        server.begin_component(dut, first, images.component(first)) as one,
        server.begin_component(dut, second, images.component(second)) as two,
    ):
        new = download(one, components, first)
        download(two, components, second)
        assert one.execute(ALONE)
        one.await_finish()
    assert_success(one)
    assert components[second].shows(State.DOWNLOADED, Result.INITIAL)
    assert versions(components) == {**before, first: new}


@pytest.mark.requirement("OMA-33629-2-chosen")
@pytest.mark.related("dependent")
def test_components_of_the_servers_choice(dut, server, images, components):
    """The server names a component that would not go along by itself, and that the first one needs."""
    first, second = dut.type.components.pair("dependent")
    before = versions(components)
    with (
        server.begin_component(dut, first, images.component(first)) as one,
        server.begin_component(dut, second, images.component(second)) as two,
    ):
        new = {first: download(one, components, first), second: download(two, components, second)}
        assert one.execute(components.together_with(second))
        one.await_finish()
        two.go_along(one)
    assert_success(one)
    assert_success(two)
    assert versions(components) == {**before, **new}


@pytest.mark.requirement("OMA-33629-2-cannot", "OMA-33629-5-13", "OMA-33629-17-conflicting")
@pytest.mark.related("linked")
def test_a_component_named_by_the_server_is_not_downloaded(dut, server, images, components):
    """The server asks for what cannot be: result 13, and nothing has changed."""
    name, other = dut.type.components.pair("linked")
    before = versions(components)
    with server.begin_component(dut, name, images.component(name)) as update:
        download(update, components, name)
        assert update.execute(components.together_with(other))
        update.await_finish()
    assert_refused(update, Result.DEPENDENCY_ERROR, components[name], by=other)
    assert versions(components) == before


@pytest.mark.requirement("OMA-33629-5-12", "OMA-33629-17-conflicting", "FOTA-RECOVERY")
@pytest.mark.related("conflicting")
def test_conflicting_components(dut, server, images, components):
    """Refused with 12, by Update at the latest, and nothing has changed; without the other it succeeds."""
    first, second = dut.type.components.pair("conflicting")
    before = versions(components)
    with (
        server.begin_component(dut, first, images.component(first)) as one,
        server.begin_component(dut, second, images.component(second)) as two,
    ):
        download(one, components, first)
        two.deliver()
        if two.await_downloaded():
            assert two.execute()
            two.await_finish()
        assert_refused(two, Result.CONFLICTING_STATE, components[second], by=first)
        assert components[first].shows(State.DOWNLOADED, Result.INITIAL)
    server.restart(dut)
    assert versions(components) == before

    assert components.object(second).write_package().taken
    with server.begin_component(dut, first, images.component(first)) as again:
        new = components[first].package_version
        assert again.execute()
        again.await_finish()
    assert again.record.ended(Result.SUCCESS)
    assert versions(components) == {**before, first: new}


@pytest.mark.requirement(
    "OMA-33629-2-incompatible", "OMA-33629-5-13", "OMA-33629-17-conflicting", "FOTA-RECOVERY"
)
@pytest.mark.related("dependent")
def test_dependency(dut, server, images, components):
    """Refused with 13 while another component is too old; updated in the right order, both succeed."""
    late, early = dut.type.components.pair("dependent")
    before = versions(components)
    with server.begin_component(dut, late, images.component(late)) as refused:
        new = {late: download(refused, components, late)}
        assert refused.execute()
        refused.await_finish()
    assert_refused(refused, Result.DEPENDENCY_ERROR, components[late], by=early)
    assert versions(components) == before

    with server.begin_component(dut, early, images.component(early)) as update:
        new[early] = download(update, components, early)
        assert update.execute()
        update.await_finish()
    assert_success(update)
    with server.begin_component(dut, late, images.component(late)) as again:
        if again.record.state is State.IDLE:
            download(again, components, late)
        assert again.execute()
        again.await_finish()
    assert again.record.violations == []
    assert again.record.ended(Result.SUCCESS)
    assert versions(components) == {**before, **new}


@pytest.mark.requirement("OMA-33629-3-bundle")
@pytest.mark.related("bundle")
def test_one_package_for_several_components(dut, server, images, components):
    """Delivered to one of them, it makes all of them Downloaded, and they are updated together."""
    first, second = dut.type.components.pair("bundle")
    before = versions(components)
    with (
        server.begin_component(dut, first, images.component("bundle")) as one,
        server.begin_component(dut, second, images.component("bundle")) as two,
    ):
        new = {first: download(one, components, first)}
        assert two.await_pair(State.DOWNLOADED, timeout=dut.type.timeouts.boot)
        new[second] = components[second].package_version
        assert one.execute(components.together_with(second))
        one.await_finish()
        two.go_along(one)
    assert_success(one)
    assert two.record.violations == []
    assert two.record.ended(Result.SUCCESS)
    assert versions(components) == {**before, **new}


@pytest.mark.requirement("OMA-33629-3-bundle-conflict", "OMA-33629-5-12", "OMA-33629-17-conflicting")
@pytest.mark.related("bundle")
def test_package_for_several_components_meets_another(dut, server, images, components):
    """One of them already has a package: refused with 12 after the download, and that one keeps its own."""
    first, second = dut.type.components.pair("bundle")
    before = versions(components)
    with (
        server.begin_component(dut, first, images.component("bundle")) as one,
        server.begin_component(dut, second, images.component(second)) as two,
    ):
        download(two, components, second)
        one.deliver()
        assert not one.await_downloaded()
        assert_refused(one, Result.CONFLICTING_STATE, components[first], by=second)
        assert two.record.shows(State.DOWNLOADED, Result.INITIAL)
    found = components[first]
    assert found.shows(State.IDLE, found.result)
    assert versions(components) == before


@pytest.mark.requirement("OMA-5-5-5", "FOTA-RECOVERY")
@pytest.mark.related("linked")
def test_damaged_package(dut, server, images, components):
    """Refused with 5; the next good package of the same component succeeds."""
    name, _ = dut.type.components.pair("linked")
    before = versions(components)
    with server.begin_component(dut, name, flip_body_bit(images.component(name))) as update:
        record = update.finish()
    assert record.violations == []
    assert record.ended(Result.INTEGRITY_FAILED)
    assert versions(components) == before
    new = updated(dut, server, images, components, name)
    assert versions(components) == {**before, name: new}


@pytest.mark.requirement("OMA-33629-independent", "FOTA-STAYS", "FOTA-RECOVERY", "OMA-33629-15-version")
@pytest.mark.related("linked")
def test_second_package_of_a_component(dut, server, images, components):
    """Damaged or good, it takes nothing from what runs: not from its own component, not from another one."""
    first, second = dut.type.components.pair("linked")
    before = versions(components)
    new = {name: updated(dut, server, images, components, name) for name in (second, first)}
    with server.begin_component(dut, first, flip_body_bit(images.component(first))) as update:
        assert update.finish().ended(Result.INTEGRITY_FAILED)
    server.restart(dut)
    assert versions(components) == {**before, **new}, "after a damaged package and a restart"
    updated(dut, server, images, components, first)
    server.restart(dut)
    assert versions(components) == {**before, **new}, "after a second package and a restart"


@pytest.mark.requirement("FOTA-UNCHANGED", "OMA-33629-15-version")
@pytest.mark.related("linked")
def test_update_of_the_application(dut, server, images, components):
    """It leaves the components as they are, one that was updated before too."""
    name, _ = dut.type.components.pair("linked")
    new = updated(dut, server, images, components, name)
    before = versions(components)
    assert before[name] == new
    assert server.update(dut, images.update).failure == ""
    assert versions(components) == before


@pytest.mark.requirement("OMA-5-5-6")
@pytest.mark.related("dependent")
def test_package_of_another_component(dut, server, images, components):
    """Refused with 6."""
    name, other = dut.type.components.pair("dependent")
    before = versions(components)
    with server.begin_component(dut, name, images.component(other)) as update:
        record = update.finish()
    assert record.violations == []
    assert record.ended(Result.UNSUPPORTED_PACKAGE)
    assert versions(components) == before


@pytest.mark.requirement("OMA-33629-10-cancels", "OMA-33629-2-only-when-downloaded")
@pytest.mark.related("linked")
def test_cancel(dut, server, images, components):
    """The package is gone, result 10, Update is refused; another component's package stays."""
    first, second = dut.type.components.pair("linked")
    with (
        server.begin_component(dut, first, images.component(first)) as one,
        server.begin_component(dut, second, images.component(second)) as two,
    ):
        download(one, components, first)
        download(two, components, second)
        assert one.object5.cancel().taken
        assert one.await_pair(State.IDLE, Result.CANCELLED, timeout=dut.type.timeouts.boot)
        assert one.object5.execute().refused
        assert one.record.violations == []
        assert components[second].shows(State.DOWNLOADED, Result.INITIAL)
        assert components[second].linked == ()


@pytest.mark.requirement("OMA-33629-2-bootable", "OMA-33629-2-transaction", "FOTA-POWER")
@pytest.mark.parametrize("seconds", [0, 2, 4])
@pytest.mark.related("linked")
def test_power_cut_while_updating(dut, server, images, components, clock, seconds, recommended):
    """Two linked components: after the cut each is what its result says, and both should be alike."""
    first, second = dut.type.components.pair("linked")
    before = versions(components)
    with (
        server.begin_component(dut, first, images.component(first)) as one,
        server.begin_component(dut, second, images.component(second)) as two,
    ):
        new = {first: download(one, components, first), second: download(two, components, second)}
        assert one.execute()
        one.await_updating()  # else it was too quick, or never shows it
        clock.sleep(seconds, "the update goes on")
        dut.power_cycle()
        one.await_finish()
        two.go_along(one)
    assert one.record.violations == []
    assert two.record.violations == []
    assert (one.record.stuck, two.record.stuck) == ("", ""), "the update was forgotten"
    with recommended("OMA-33629-2-transaction"):
        assert two.record.shows(*one.record.outcome), "one of two linked components is other than the other"
    updated = {
        name for name, update in ((first, one), (second, two)) if update.record.result is Result.SUCCESS
    }
    assert versions(components) == {**before, **{name: new[name] for name in updated}}
    assert server.object5(dut).shows(State.IDLE, Result.INITIAL)
    dut.assert_running(images.baseline)


def versions(components):
    return {name: component.version for name, component in components.inventory().items()}


def download(update, components, name):
    """Deliver the package; returns its version, as the device tells it."""
    update.deliver()
    assert update.await_downloaded()
    return components[name].package_version


def updated(dut, server, images, components, name):
    """Bring one component up to date; returns its new version."""
    with server.begin_component(dut, name, images.component(name)) as update:
        new = download(update, components, name)
        assert update.execute()
        update.await_finish()
    assert_success(update)
    return new


def assert_success(update):
    assert update.record.violations == []
    assert update.record.went(*WHOLE_CYCLE)
    assert update.record.ended(Result.SUCCESS)


def assert_refused(update, result, component, *, by):
    assert update.record.violations == []
    assert update.record.shows(update.record.state, result)
    assert component.shows(component.state, result)
    assert by in component.conflicting
