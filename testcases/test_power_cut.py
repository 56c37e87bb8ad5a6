"""The supply fails in the middle of a download."""

from bench.firmware_update.states import Result, State


def test_power_cut_during_download(dut, server, images, delivery):
    """After a cut half-way through the download the old version runs, Idle; a second attempt succeeds."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.5)
        dut.power_off()
    server.restart(dut)

    assert server.state_of(dut)[0] is State.IDLE
    assert server.version_of(dut) == images.baseline.version
    assert dut.running_image(images.baseline) == images.baseline.data

    server.restart(dut)
    second = server.update(dut, images.update, delivery)
    assert second.result is Result.SUCCESS
    assert server.version_of(dut) == images.update.version
