"""Which objects a registration names, whatever its link list looks like."""

from __future__ import annotations

import pytest
from coap_peer import CONTENT_FORMAT, POST, Peer, uint

from bench.lwm2m.server import LwM2mServer


@pytest.mark.parametrize(
    ("links", "root", "objects", "versions"),
    [
        (b"</1/0>,</3/0>,</5/0>", "", {1: {0}, 3: {0}, 5: {0}}, {}),
        (b'</>;rt="oma.lwm2m";ct=11542,</5>;ver=1.1,</5/0>', "", {5: {0}}, {5: "1.1"}),
        (b'</>;ct="110 112",</3303>,</3303/7>', "", {3303: {7}}, {}),
        (b'</lwm2m>;rt="oma.lwm2m",</lwm2m/5/0>,</lwm2m/3>', "lwm2m", {5: {0}, 3: set()}, {}),
        (b"</5/0>,</sensors/temp>;rt=x", "", {5: {0}}, {}),
    ],
)
def test_links(
    peer: Peer,
    server: LwM2mServer,
    links: bytes,
    root: str,
    objects: dict[int, set[int]],
    versions: dict[int, str],
) -> None:
    answer = peer.request(POST, "/rd?ep=dev&lwm2m=1.1", links, [(CONTENT_FORMAT, uint(40))])
    assert answer.dotted == "2.01"
    registration = server.registration("dev")
    assert registration is not None
    assert (registration.root, registration.objects) == (root, objects)
    assert registration.object_versions == versions
