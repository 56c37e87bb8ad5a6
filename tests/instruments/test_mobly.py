"""Google's mobly drives the simulated Mini-Circuits attenuators over Telnet.

Python 3.13 has no telnetlib any more, and mobly has nothing else yet.
"""

import pytest
from instrument_rig import AttenuatorBench
from test_attenuators import telnet

minicircuits = pytest.importorskip(
    "mobly.controllers.attenuator_lib.minicircuits", reason="mobly needs telnetlib", exc_type=ImportError
)


@pytest.mark.parametrize(
    ("model", "paths"), [("RCDAT-6000-110", 1), ("RC4DAT-6G-95", 4), ("RC8DAT-8G-95", 8)]
)
def test_every_path_is_set_and_read(model, paths):
    bench = AttenuatorBench("minicircuits_rcdat", telnet(model))
    device = minicircuits.AttenuatorDevice(path_count=paths)
    device.open(bench.server.host, bench.server.port)
    assert device.properties["model"] == model.split("-")[0]
    assert device.max_atten == float(model.split("-")[2])
    for index in range(paths):
        device.set_atten(index, 10.25 + index)
        assert device.get_atten(index) == 10.25 + index
    assert [path.attenuation for path in bench.paths.values()][:paths] == [10.25 + n for n in range(paths)]
    device.close()
    bench.close()
