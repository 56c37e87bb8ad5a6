"""What a path does to datagrams: each impairment on its own, with counts and times."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from udp_post import Post

from bench.clock import Clock
from bench.errors import NetworkError
from bench.network.impairment import Impairment
from bench.network.path import NetworkPath
from bench.timeline import Timeline
from bench.virtual.clock import VirtualClock
from bench.virtual.scheduler import Scheduler

Open = Callable[..., Post]


def numbers(count: int) -> list[bytes]:
    return [b"%d" % n for n in range(count)]


def send(clock: Clock, sender: Post, to: tuple[str, int], what: list[bytes], every: float = 0.01) -> None:
    for data in what:
        clock.loop.call_soon_threadsafe(sender.transport.sendto, data, to)
        clock.sleep(every, "between datagrams")


@pytest.fixture
def server(post: Open) -> Post:
    return post(echo=True)


@pytest.fixture
def client(post: Open) -> Post:
    return post()


def test_a_good_path_delivers_everything_both_ways(
    clock: Clock, path: NetworkPath, server: Post, client: Post
) -> None:
    here = path.open(server.address)
    send(clock, client, here, numbers(50))
    clock.sleep(1, "arrive")
    assert server.data == numbers(50)
    assert client.data == [b"re:" + n for n in numbers(50)]
    assert {source for _, _, source in client.got} == {here}
    assert path.counters["up"].delivered == path.counters["down"].delivered == 50
    assert path.counters["up"].bytes == sum(map(len, numbers(50)))


@pytest.mark.parametrize("clock", ["wall"], indirect=True)
def test_it_works_on_the_wall_clock(clock: Clock, path: NetworkPath, server: Post, client: Post) -> None:
    path.delay = 0.05
    here = path.open(server.address)
    begin = clock.now()
    send(clock, client, here, numbers(3))
    clock.wait_for(lambda: len(client.got) == 3, timeout=10, reason="echoes")
    assert client.data == [b"re:0", b"re:1", b"re:2"]
    assert clock.now() - begin >= 0.1


def test_loss_is_as_likely_as_it_is_set_and_the_same_with_the_same_seed(
    clock: Clock, timeline: Timeline, server: Post, client: Post
) -> None:
    outcomes = []
    for seed in (1, 1, 2):
        path = NetworkPath("dev", clock, timeline, seed=seed)
        path.loss = 0.2
        server.got.clear()
        send(clock, client, path.open(server.address), numbers(1000), every=0.001)
        clock.sleep(1, "arrive")
        outcomes.append(server.data)
        assert path.counters["up"].lost == 1000 - len(server.got)
        path.close()
    assert outcomes[0] == outcomes[1] != outcomes[2]
    assert 750 < len(outcomes[0]) < 850


def test_a_change_of_settings_does_not_shift_the_fate_of_later_datagrams(
    clock: Clock, timeline: Timeline, server: Post, client: Post
) -> None:
    outcomes = []
    for other in ({}, {"duplicate": 0.5, "jitter": 0.01, "reorder": 0.3}):
        path = NetworkPath("dev", clock, timeline, seed=3)
        here = path.open(server.address)
        path.up.set(**other)
        send(clock, client, here, numbers(100), every=0.001)
        path.up.set(duplicate=0, jitter=0, reorder=0, loss=0.3)
        clock.sleep(1, "the rest arrives")
        server.got.clear()
        send(clock, client, here, numbers(100), every=0.001)
        clock.sleep(1, "arrive")
        outcomes.append(server.data)
        path.close()
    assert outcomes[0] == outcomes[1]


def test_each_direction_has_settings_of_its_own(
    clock: Clock, path: NetworkPath, server: Post, client: Post
) -> None:
    path.down.loss = 1.0
    send(clock, client, path.open(server.address), numbers(5))
    clock.sleep(1, "arrive")
    assert len(server.got) == 5
    assert client.got == []
    with pytest.raises(NetworkError, match="not the same in both directions"):
        _ = path.loss
    path.loss = 0.0
    assert path.loss == 0.0


def test_delay_and_jitter_keep_the_order(clock: Clock, path: NetworkPath, server: Post, client: Post) -> None:
    path.up.set(delay=0.5, jitter=0.3)
    here = path.open(server.address)
    begin = clock.now()
    send(clock, client, here, numbers(100), every=0.01)
    clock.sleep(2, "arrive")
    took = [at - begin - 0.01 * n for n, (at, _, _) in enumerate(server.got)]
    assert server.data == numbers(100)
    assert min(took) >= 0.5
    assert max(took) <= 0.81
    assert max(took) - min(took) > 0.1


def test_reordered_datagrams_are_overtaken(
    clock: Clock, path: NetworkPath, server: Post, client: Post
) -> None:
    path.up.reorder = 0.2
    send(clock, client, path.open(server.address), numbers(200), every=0.1)
    clock.sleep(1, "arrive")
    assert sorted(server.data, key=int) == numbers(200)
    overtaken = sum(1 for a, b in pairwise(server.data) if int(a) > int(b))
    assert 15 < overtaken <= path.counters["up"].reordered < 65


def test_duplicates_come_twice(clock: Clock, path: NetworkPath, server: Post, client: Post) -> None:
    path.up.duplicate = 0.5
    send(clock, client, path.open(server.address), numbers(100))
    clock.sleep(1, "arrive")
    assert set(server.data) == set(numbers(100))
    assert len(server.got) == 100 + path.counters["up"].duplicated
    assert 30 < path.counters["up"].duplicated < 70


def test_bandwidth_spaces_datagrams_and_a_full_queue_drops_them(
    clock: Clock, path: NetworkPath, server: Post, client: Post
) -> None:
    path.up.set(bandwidth=8 * 1000, queue=3000)  # 1000 bytes a second
    here = path.open(server.address)
    for _ in range(10):
        client.transport.sendto(bytes(972), here)  # 1000 with its headers
    clock.sleep(20, "arrive")
    times = [at for at, _, _ in server.got]
    assert [round(b - a, 6) for a, b in pairwise(times)] == [1.0] * (len(times) - 1)
    assert len(times) == 4  # one on the link, three waiting
    assert path.counters["up"].dropped == 6


def test_an_outage_takes_what_is_under_way_too(
    clock: Clock, path: NetworkPath, server: Post, client: Post
) -> None:
    path.delay = 1.0
    here = path.open(server.address)
    send(clock, client, here, [b"before"])
    with path.outage():
        send(clock, client, here, [b"during"], every=5)
        with path.outage():
            pass
        send(clock, client, here, [b"still"], every=5)
    send(clock, client, here, [b"after"], every=5)
    assert server.data == [b"after"]
    assert path.counters["up"].blocked == 3


def test_rebinding_shows_a_new_port_and_loses_what_goes_to_the_old_one(
    clock: Clock, path: NetworkPath, server: Post, client: Post
) -> None:
    here = path.open(server.address)
    send(clock, client, here, [b"one"], every=1)
    old = server.got[0][2]
    path.rebind()
    server.transport.sendto(b"late", old)
    clock.sleep(1, "arrive")
    assert client.data == [b"re:one"]
    assert path.counters["down"].stale == 1
    send(clock, client, here, [b"two"], every=1)
    assert server.got[1][2] != old
    server.transport.sendto(b"now", server.got[1][2])
    clock.sleep(1, "arrive")
    assert client.data == [b"re:one", b"re:two", b"now"]
    for _ in range(20):  # sockets of old bindings do not pile up
        path.rebind()


def test_clients_are_kept_apart(clock: Clock, path: NetworkPath, server: Post, post: Open) -> None:
    here = path.open(server.address)
    clients = [post() for _ in range(20)]
    for n, client in enumerate(clients):
        client.transport.sendto(b"%d" % n, here)
    clock.sleep(1, "arrive")
    assert [c.data for c in clients] == [[b"re:%d" % n] for n in range(20)]
    assert len({source for _, _, source in server.got}) == 20


def test_one_path_to_two_ports_of_a_server(clock: Clock, path: NetworkPath, post: Open, client: Post) -> None:
    plain, secure = post(echo=True), post(echo=True)
    first, second = path.open(plain.address), path.open(secure.address)
    with path.outage():
        send(clock, client, first, [b"a"])
        send(clock, client, second, [b"b"])
    send(clock, client, second, [b"c"], every=1)
    assert (plain.data, secure.data) == ([], [b"c"])


def test_a_server_that_is_away_and_returns(
    clock: Clock, path: NetworkPath, server: Post, client: Post, post: Open
) -> None:
    gone = post()
    where = gone.address
    here = path.open(where)
    gone.transport.close()
    clock.sleep(0.1, "close")
    send(clock, client, here, numbers(5), every=0.1)  # refused by the operating system, silently
    path.close()
    assert client.got == []


def test_one_entry_per_change_and_none_per_datagram(
    clock: Clock, timeline: Timeline, path: NetworkPath, server: Post, client: Post
) -> None:
    here = path.open(server.address)
    path.loss = 0.2
    path.loss = 0.2
    path.down.delay = 1.5
    path.set(delay=0.1, bandwidth=30_000)
    path.bandwidth = None
    with path.outage():
        send(clock, client, here, numbers(10))
    path.rebind()
    assert [e.text for e in timeline.since(source="dev.network")] == [
        "loss 0.2",
        "down: delay 1.5",
        "delay 0.1, bandwidth 30000",
        "bandwidth unlimited",
        "outage begins",
        "outage ends",
        "rebind",
    ]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("loss", 1.5), ("duplicate", -0.1), ("delay", -1.0), ("jitter", float("inf")), ("bandwidth", 0.0)],
)
def test_impossible_settings_are_refused_and_change_nothing(
    path: NetworkPath, timeline: Timeline, setting: str, value: float
) -> None:
    with pytest.raises(NetworkError, match=f"{setting} = {value}"):
        path.set(**{setting: value})
    with pytest.raises(NetworkError, match="no setting 'los'"):
        path.set(los=0.1)
    with pytest.raises(NetworkError, match="no setting 'los'"):
        path.up.set(los=0.1)
    assert path.impairment == Impairment()
    assert list(timeline) == []


def test_a_port_in_use_is_named(path: NetworkPath, server: Post) -> None:
    with pytest.raises(NetworkError, match=f"cannot listen on 127.0.0.1:{server.address[1]}"):
        path.open(server.address, server.address)


def test_closing_twice_and_after_the_clock() -> None:
    clock = VirtualClock(Scheduler(1))
    path = NetworkPath("dev", clock, Timeline(clock))
    path.open(("127.0.0.1", 9))
    path.close()
    path.close()
    clock.close()
    path.close()


def test_what_others_send_to_a_client_comes_from_elsewhere(
    clock: Clock, path: NetworkPath, server: Post, client: Post, post: Open
) -> None:
    """As behind a NAT that filters nothing: never as if it were the server's."""
    here = path.open(server.address)
    send(clock, client, here, [b"1"])
    clock.wait_for(lambda: client.data == [b"re:1"], timeout=5, reason="the answer")
    _, _, outside = server.got[0]
    send(clock, post(), outside, [b"strange"])
    clock.wait_for(lambda: len(client.got) == 2, timeout=5, reason="the other datagram")
    _, data, source = [(at, d, s) for at, d, s in client.got][1]
    assert data == b"strange"
    assert source != here
    assert path.counters["down"].delivered == 1
