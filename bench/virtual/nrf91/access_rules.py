"""Who may execute, read and write what: the core's MPU, and the chip's system protection unit (SPU).

Out of reset the one is off and the other lets secure code do everything; firmware changes both. Both end
with a reset of the core, locks included.

Source: Armv8-M architecture reference manual, PMSAv8 (MPU_CTRL, MPU_RNR, MPU_RBAR, MPU_RLAR); nRF9160
product specification, SPU, and its register file (nrf9160.svd, SPU_S: FLASHREGION, RAMREGION, PERIPHID).

One bank of MPU registers serves whichever state the core is in. Peripherals are all taken for
user-selectable: one that was made non-secure answers at its non-secure address alone.
"""

from __future__ import annotations

from typing import Literal

from bench.virtual.nrf91 import memory_map as mem

Access = Literal["execute", "read", "write"]

MPU_CTRL, MPU_RNR, MPU_RBAR, MPU_RLAR, MPU_MAIR1 = 0xE000ED94, 0xE000ED98, 0xE000ED9C, 0xE000EDA0, 0xE000EDC4
MPU_REGIONS = 16
ENABLE, PRIVDEFENA = 1, 4
EXECUTE_NEVER, UNPRIVILEGED, READ_ONLY = 1, 2, 4  # RBAR.XN, RBAR.AP

FLASH_REGIONS, RAM_REGIONS, REGIONS = 0x600, 0x700, 32
PERIPHERALS, PERIPHERAL_COUNT, PERIPHERAL_PERM = 0x800, 67, 0x12  # user-selectable, secure
FLASH_REGION, RAM_REGION = mem.FLASH_SIZE // REGIONS, 0x2000
PERM_OPEN = 0x17  # secure; execute, write, read
PERM_EXECUTE, PERM_WRITE, PERM_READ, PERM_SECURE, PERM_LOCK = 1, 2, 4, 1 << 4, 1 << 8


class Mpu:
    """Registers go by their address."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._control = self._number = 0
        self._attributes: dict[int, int] = {}
        self._regions = [[0, 0] for _ in range(MPU_REGIONS)]  # RBAR, RLAR

    @staticmethod
    def has(address: int) -> bool:
        return MPU_CTRL <= address <= MPU_MAIR1

    @property
    def on(self) -> bool:
        return bool(self._control & ENABLE)

    def _pair(self, address: int) -> tuple[int, int] | None:
        """Region and which of its registers; the aliases reach the three regions that follow."""
        index = (address - MPU_RBAR) // 4
        if not 0 <= index < 8:
            return None
        alias, register = divmod(index, 2)
        region = self._number if alias == 0 else self._number & ~3 | alias
        return region % MPU_REGIONS, register

    def read(self, address: int) -> int:
        if address == MPU_CTRL:
            return self._control
        if address == MPU_RNR:
            return self._number
        pair = self._pair(address)
        return self._attributes.get(address, 0) if pair is None else self._regions[pair[0]][pair[1]]

    def write(self, address: int, value: int) -> None:
        if address == MPU_CTRL:
            self._control = value & 7
        elif address == MPU_RNR:
            self._number = value & 0xFF
        elif (pair := self._pair(address)) is not None:
            self._regions[pair[0]][pair[1]] = value
        else:
            self._attributes[address] = value

    def allows(self, access: Access, address: int, *, privileged: bool) -> bool:
        if not self.on or address >= mem.PPB:
            return True
        hits = [
            (base, limit)
            for base, limit in self._regions
            if limit & ENABLE and base & ~0x1F <= address <= limit | 0x1F
        ]
        if not hits:
            return privileged and bool(self._control & PRIVDEFENA)
        if len(hits) > 1:
            return False
        base = hits[0][0]
        if base & {"execute": EXECUTE_NEVER, "read": 0, "write": READ_ONLY}[access]:
            return False
        return privileged or bool(base & UNPRIVILEGED)


class Spu:
    """Registers go by their offset. `as_reset`: nothing was restricted since."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._permissions = dict.fromkeys(
            (*range(FLASH_REGIONS, FLASH_REGIONS + 4 * REGIONS, 4),
             *range(RAM_REGIONS, RAM_REGIONS + 4 * REGIONS, 4)),
            PERM_OPEN,
        )  # fmt: skip
        peripherals = range(PERIPHERALS, PERIPHERALS + 4 * PERIPHERAL_COUNT, 4)
        self._permissions |= dict.fromkeys(peripherals, PERIPHERAL_PERM)
        self.as_reset = True

    def has(self, offset: int) -> bool:
        """Whether it is the permission of something."""
        return offset in self._permissions

    def read(self, offset: int) -> int:
        return self._permissions.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """A locked region keeps what it has until the next reset."""
        if offset in self._permissions and not self._permissions[offset] & PERM_LOCK:
            fixed = self._permissions[offset] & 3 if offset >= PERIPHERALS else 0  # SECUREMAPPING
            self._permissions[offset] = value & (PERM_SECURE | PERM_LOCK | 7) & ~fixed | fixed
            self.as_reset = False

    def _permission(self, address: int) -> int:
        if self.as_reset:
            return PERM_OPEN
        if 0 <= address < mem.FLASH_SIZE:
            return self._permissions[FLASH_REGIONS + 4 * (address // FLASH_REGION)]
        if mem.RAM_BASE <= address < mem.RAM_BASE + mem.RAM_SIZE:
            return self._permissions[RAM_REGIONS + 4 * ((address - mem.RAM_BASE) // RAM_REGION)]
        return PERM_OPEN

    def allows(self, access: Access, address: int, *, secure: bool) -> bool:
        """What the core may do: code runs in the state it belongs to; secure things are for secure code."""
        wanted = {"execute": PERM_EXECUTE, "read": PERM_READ, "write": PERM_WRITE}[access]
        permission = self._permission(address)
        if mem.PERIPHERALS <= address < mem.PERIPHERALS_END:
            permission = PERM_OPEN if address & mem.SECURE_ALIAS else PERM_OPEN & ~PERM_SECURE
        elif mem.FICR_BASE <= address < mem.UICR_BASE + mem.INFO_SIZE:
            permission = PERM_OPEN
        elif address >= mem.PPB:
            return True
        if access == "execute" and secure and not permission & PERM_SECURE:
            return False  # secure code branches to non-secure code only by an instruction of its own
        return bool(permission & wanted) and (secure or not permission & PERM_SECURE)

    def answers(self, address: int) -> bool:
        """Whether a peripheral is to be found at this address at all, for a secure debugger."""
        offset = PERIPHERALS + 4 * (address >> 12 & 0xFF)
        non_secure = not self._permissions.get(offset, PERIPHERAL_PERM) & PERM_SECURE
        return not (non_secure and address & mem.SECURE_ALIAS)

    def writable(self, address: int) -> bool:
        """For anybody, a debugger included."""
        return bool(self._permission(address) & PERM_WRITE)

    def closed_flash(self) -> list[tuple[int, int]]:
        """Flash that is not to be written: [start, end) of each region."""
        starts = () if self.as_reset else range(0, mem.FLASH_SIZE, FLASH_REGION)
        return [(start, start + FLASH_REGION) for start in starts if not self.writable(start)]
