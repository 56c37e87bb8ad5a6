"""Downloads that must fail: the right result, Idle, nothing installed, and the next update succeeds.

OMA LightweightM2M-1.0-int-773 (not enough storage), -774 (out of memory), -777 (unsupported package
type), -778 (invalid URI).
"""

import pytest

from bench.firmware_update.states import Delivery, Result, Transport


def assert_refused(dut, server, images, update, result):
    """It ends with `result`, the old version runs, and a good package is taken afterwards."""
    assert update.violations == []
    assert update.ended(result)
    assert server.version_of(dut) == images.baseline.version

    server.make_idle(dut)
    again = server.update(dut, images.update)
    assert again.failure == "", "a good package after a bad one"


@pytest.mark.requirement("LightweightM2M-1.0-int-773", "OMA-5-5-2", "FOTA-RECOVERY")
@pytest.mark.image("oversized")
def test_package_larger_than_the_slot(dut, server, images, delivery):
    """Result 2."""
    update = server.update(dut, images.oversized, delivery)
    assert_refused(dut, server, images, update, Result.NOT_ENOUGH_FLASH)


@pytest.mark.requirement("LightweightM2M-1.0-int-774", "OMA-5-5-3", "FOTA-RECOVERY")
@pytest.mark.capability("exhaust-ram")
def test_out_of_memory(dut, server, images, delivery):
    """Result 3 while there is no memory; the update succeeds when there is some again."""
    with dut.using("exhaust-ram"):
        update = server.update(dut, images.update, delivery)
    assert_refused(dut, server, images, update, Result.OUT_OF_RAM)


@pytest.mark.requirement("LightweightM2M-1.0-int-777", "OMA-5-5-6", "FOTA-RECOVERY")
def test_unsupported_package_type(dut, server, images, delivery):
    """Result 6 for a file that is no firmware."""
    update = server.update(dut, images.unsupported, delivery)
    assert_refused(dut, server, images, update, Result.UNSUPPORTED_PACKAGE)


INVALID_URIS = {
    "no-such-package": "{server}/fw/no-such-package.bin",
    "no-scheme": "//nowhere",
    "path-alone": "/fw/package.bin",
    "no-host": "coap:///fw/package.bin",
    "bad-port": "coap://192.0.2.1:99999/fw/package.bin",
    "not-a-uri": "firmware, please",
}


@pytest.mark.requirement("LightweightM2M-1.0-int-778", "OMA-5-5-7", "RFC3986-4.3-absolute", "FOTA-RECOVERY")
@pytest.mark.requirement(
    "RFC7252-6.4-absolute",
    uri=(INVALID_URIS["no-scheme"], INVALID_URIS["path-alone"], INVALID_URIS["not-a-uri"]),
)
@pytest.mark.delivery("pull")
@pytest.mark.parametrize("uri", INVALID_URIS.values(), ids=INVALID_URIS.keys())
def test_invalid_uri(dut, server, images, object5, uri):
    """Result 7, or 9 where it names no protocol; the Write may be refused, with the result or without any."""
    written = uri.format(server=server.uri_for(dut))
    results = [Result.INVALID_URI]
    if "://" not in written:  # no scheme, which every URI has (RFC 3986 section 4.3): none that it supports
        results.append(Result.UNSUPPORTED_PROTOCOL)
    with server.begin(dut, images.update, Delivery.PULL) as update:
        answer = object5.write_uri(written)
        assert_no_download(dut, update, answer, *results, uri=written)
    assert server.update(dut, images.update, Delivery.PULL).failure == ""


@pytest.mark.requirement("RFC7252-6.4-absolute", "FOTA-RECOVERY")
@pytest.mark.delivery("pull")
@pytest.mark.parametrize("transport", [Transport.COAP, Transport.COAPS], ids=str, indirect=True)
def test_uri_with_a_fragment(dut, server, images, object5, transport):
    """A URI with a fragment is no CoAP URI: nothing is fetched, though a package is there."""
    with server.begin(dut, images.update, Delivery.PULL, transport) as update:
        package = update.publish()
        uri = server.package_uri(dut, package.name, transport) + "#second"
        answer = object5.write_uri(uri)
        results = (Result.INVALID_URI, Result.UNSUPPORTED_PROTOCOL, Result.CONNECTION_LOST)
        if answer.taken:
            update.await_downloaded()
        assert package.sent == 0, f"{package.sent} bytes were fetched from {uri!r}"
        assert_no_download(dut, update, answer, *results, uri=uri)


@pytest.mark.requirement("OMA-5-5-9", "FOTA-RECOVERY")
@pytest.mark.delivery("pull")
def test_unsupported_protocol(dut, server, images, object5):
    """Result 9 for a scheme the device does not know; the Write may be refused, with or without a result."""
    with server.begin(dut, images.update, Delivery.PULL) as update:
        uri = "gopher://192.0.2.1/package.bin"
        answer = object5.write_uri(uri)
        assert_no_download(dut, update, answer, Result.UNSUPPORTED_PROTOCOL, Result.INVALID_URI, uri=uri)
    assert server.update(dut, images.update, Delivery.PULL).failure == ""


def assert_no_download(dut, update, answer, *results, uri):
    """Idle with one of `results`; a device that refuses the Write itself need not tell any."""
    if answer.taken:
        update.await_download_over()
        assert update.record.ended(*results), f"Package URI {uri!r} was answered {answer}"
    else:
        assert answer.refused
        update.look()
        assert update.record.ended(Result.INITIAL, *results), f"Package URI {uri!r} was answered {answer}"
    assert update.record.violations == []
