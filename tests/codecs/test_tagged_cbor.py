"""The tags of CBOR that SenML and LwM2M may carry, by the examples of RFC 8949; and labels that are none."""

from __future__ import annotations

import pytest

from bench.lwm2m.codecs import cbor, senml
from bench.lwm2m.codecs.error import CodecError


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        ("c48221196ab3", 273.15),  # RFC 8949 section 3.4.4
        ("c074323031332d30332d32315432303a30343a30305a", 1363896240),  # RFC 8949 appendix A
        ("c11a514b67b0", 1363896240),
        ("c1fb41d452d9ec200000", 1363896240.5),
        ("82c4820a01c4822001", [1e10, 0.1]),
    ],
)
def test_numbers_behind_a_tag(payload: str, value: object) -> None:
    assert cbor.load(bytes.fromhex(payload)) == value


@pytest.mark.parametrize(
    "payload",
    [
        "c4",
        "c482",
        "c48221",
        "c4820a61",  # the mantissa is a text
        "c48321196ab300",
        "c49f21196ab3ff",
        "c482c2490100000000000000000a",  # a big number as exponent
        "c4821a7fffffff1a7fffffff",  # 2147483647 * 10 ** 2147483647
        "c482a0a0",
        "c001",
        "c07f61 61ff".replace(" ", ""),
        "c06568656c6c6f",  # "hello"
        "c0c074323031332d30332d32315432303a30343a30305a",
        "a1c4820a0101",  # as a key
        "d8230a",  # a regular expression
    ],
)
def test_tags_that_hide_no_number(payload: str) -> None:
    with pytest.raises(CodecError):
        cbor.load(bytes.fromhex(payload))


def test_senml_with_a_decimal_fraction() -> None:
    pack = bytes.fromhex("81a2006b2f333330332f302f3537303002c48221196ab3")  # {0: "/3303/0/5700", 2: 273.15}
    assert len(b"/3303/0/5700") == 12
    pack = pack.replace(bytes.fromhex("6b2f33"), bytes.fromhex("6c2f33"))
    (entry,) = senml.decode_cbor(pack)
    assert (entry.path, entry.value) == ((3303, 0, 5700), 273.15)


@pytest.mark.parametrize("label", ["3", "-2", "0", "2"])
def test_numbers_of_labels_as_texts_are_refused(label: str) -> None:
    """Passed over as unknown they would make a pack that says nothing, and a Send of it would be taken."""
    with pytest.raises(CodecError, match="is a text where CBOR has a number"):
        senml.decode_cbor(cbor.dump([{label: "1.0", "n": "/3/0/3"}]))
