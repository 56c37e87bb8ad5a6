"""What tells one nRF91 from another at the debug port and in its factory information.

Source: nRF9160, nRF9161 and nRF9151 product specifications (FICR: SIPINFO, INFO), the headers of Nordic's
MDK (nrf9160_bitfields.h, nrf9120_bitfields.h: SIPINFO.PARTNO, INFO.PART), probe-rs (nRF91_Series.yaml: parts
and variants), pyOCD and Black Magic Probe (TARGETID.REVISION above 2: hardened access port protection).
The revisions of the hardware are of the examples in the product specifications.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Silicon:
    """`part` is the package's, `die` the chip's in it; `revision` is TARGETID's and FICR's."""

    part: int
    variant: str
    hardware: str
    die: int
    revision: int

    @property
    def hardened(self) -> bool:
        """Whether an erased UICR means "protected", and firmware has to open the access ports too."""
        return self.revision > 2


NRF9160 = Silicon(0x9160, "SICA", "B1A", die=0x9160, revision=1)
NRF9161 = Silicon(0x9161, "LACA", "B0A", die=0x9120, revision=3)
NRF9151 = Silicon(0x9151, "LACA", "B0A", die=0x9120, revision=3)
NRF9131 = Silicon(0x9131, "LACA", "B0A", die=0x9120, revision=3)
