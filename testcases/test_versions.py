"""Versions are numbers, told as they are: 1.10 comes after 1.9, and another build is not the same one."""

import pytest

from bench.errors import NotApplicable


@pytest.mark.requirement("OMA-3-3-version", "OMA-5-2-installs")
@pytest.mark.image("minor-nine", "minor-ten")
def test_minor_version_of_two_digits(dut, server, images):
    """From x.9 to x.10: taken as the later one that it is, and told whole."""
    nine, ten = images.variant("minor-nine"), images.variant("minor-ten")
    if images.update.version in (nine.version, ten.version):
        raise NotApplicable("the board file does not tell the versions of its image variants")
    for image in (nine, ten):
        record = server.update(dut, image)
        assert record.failure == "", f"to {image.version}"
        assert server.version_of(dut) == image.version
        dut.assert_running(image)


@pytest.mark.requirement("OMA-5-2-installs", "OMA-5-5-1", "FOTA-WHOLE")
@pytest.mark.capability("readback")
@pytest.mark.image("other-build")
def test_another_build_of_the_same_version(dut, server, images):
    """The same version does not make it the same firmware: what was delivered is what runs afterwards."""
    assert server.update(dut, images.update).failure == ""
    record = server.update(dut, images.variant("other-build"))
    assert record.failure == ""
    dut.assert_running(images.variant("other-build"))
