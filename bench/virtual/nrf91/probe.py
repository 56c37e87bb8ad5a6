"""The virtual debug probe: a pyOCD plug-in that speaks SWD transactions to a chip of this process.

It lists nothing unless a virtual bench runs here, or the environment variable BENCH_PROBES names
probes of a bench in another process ("UID=HOST:PORT,UID=HOST:PORT"; `bench up` prints it).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from time import sleep
from typing import TYPE_CHECKING, Any

from pyocd.core import exceptions
from pyocd.probe.debug_probe import DebugProbe
from pyocd.probe.tcp_client_probe import TCPClientProbe

from bench.virtual.nrf91.registry import PROBES, REMOTE_PROBES

if TYPE_CHECKING:
    from bench.virtual.nrf91.chip import Nrf91Chip


class VirtualProbe(DebugProbe):
    """One probe, wired to one chip."""

    @classmethod
    def get_all_connected_probes(
        cls, unique_id: str | None = None, is_explicit: bool = False
    ) -> Sequence[DebugProbe]:
        local: list[DebugProbe] = [cls(uid, chip) for uid, chip in PROBES.items()]
        return local + [RemoteBenchProbe(uid, at) for uid, at in _remote_probes().items()]

    @classmethod
    def get_probe_with_id(cls, unique_id: str, is_explicit: bool = False) -> DebugProbe | None:
        if unique_id in PROBES:
            return cls(unique_id, PROBES[unique_id])
        remote = _remote_probes().get(unique_id)
        return RemoteBenchProbe(unique_id, remote) if remote is not None else None

    def __init__(self, uid: str, chip: Nrf91Chip) -> None:
        super().__init__()
        self._uid, self._chip = uid, chip
        self._is_open = False
        self._protocol: DebugProbe.Protocol | None = None

    @property
    def vendor_name(self) -> str:
        return "Virtual bench"

    @property
    def product_name(self) -> str:
        return "SWD probe"

    @property
    def supported_wire_protocols(self) -> list[DebugProbe.Protocol]:
        return [DebugProbe.Protocol.DEFAULT, DebugProbe.Protocol.SWD]

    @property
    def unique_id(self) -> str:
        return self._uid

    @property
    def wire_protocol(self) -> DebugProbe.Protocol | None:
        return self._protocol

    @property
    def is_open(self) -> bool:
        return self._is_open

    @property
    def capabilities(self) -> set[DebugProbe.Capability]:
        return {self.Capability.SWJ_SEQUENCE, self.Capability.BANKED_DP_REGISTERS}

    def open(self) -> None:
        self._is_open = True

    def close(self) -> None:
        self._is_open = False

    def connect(self, protocol: DebugProbe.Protocol | None = None) -> None:
        self._protocol = DebugProbe.Protocol.SWD

    def disconnect(self) -> None:
        self._protocol = None

    def swj_sequence(self, length: int, bits: int) -> None:
        self._transact(self._chip.dap.line, length, bits)

    def set_clock(self, frequency: float) -> None:
        pass

    def flush(self) -> None:
        pass

    def _transact(self, transaction: Callable[..., Any], *arguments: Any) -> Any:
        from bench.virtual.nrf91.dap import Fault, NoTarget

        with self._chip.scheduler.lock:
            try:
                return transaction(*arguments)
            except Fault as fault:
                raise exceptions.TransferFaultError(str(fault)) from None
            except NoTarget as silent:
                raise exceptions.TransferError(str(silent)) from None

    def reset(self) -> None:
        """Hold the pin as long as pyOCD's probes do."""
        assert self.session is not None
        self.assert_reset(True)
        sleep(self.session.options.get("reset.hold_time"))
        self.assert_reset(False)
        sleep(self.session.options.get("reset.post_delay"))

    def assert_reset(self, asserted: bool) -> None:
        self._transact(self._chip.hold_reset, "pin", asserted)

    def is_reset_asserted(self) -> bool:
        return self._chip.pin_reset_held

    def _deferred(self, now: bool, transaction: Callable[..., Any], *arguments: Any) -> Any:
        """The value, or (now=False) a call that gives it or raises what happened."""
        try:
            value = self._transact(transaction, *arguments)
        except exceptions.TransferError as error:
            if now:
                raise
            failure = error

            def fail() -> Any:
                raise failure

            return fail
        return value if now else lambda: value

    def read_dp(self, addr: int, now: bool = True) -> Any:
        return self._deferred(now, self._chip.dap.read_dp, addr)

    def write_dp(self, addr: int, data: int) -> None:
        self._transact(self._chip.dap.write_dp, addr, data)

    def read_ap(self, addr: int, now: bool = True) -> Any:
        return self._deferred(now, self._chip.dap.read_ap, addr)

    def write_ap(self, addr: int, data: int) -> None:
        self._transact(self._chip.dap.write_ap, addr, data)

    def read_ap_multiple(self, addr: int, count: int = 1, now: bool = True) -> Any:
        return self._deferred(now, self._chip.dap.read_ap_many, addr, count)

    def write_ap_multiple(self, addr: int, values: Sequence[int]) -> None:
        self._transact(self._chip.dap.write_ap_many, addr, values)


ANSWER_LIMIT = 10.0
"""Wall seconds a bench in another process may take for one request; a flash erase has much to simulate."""


class RemoteBenchProbe(TCPClientProbe):
    """A probe of a virtual bench in another process, by pyOCD's own remote protocol."""

    def __init__(self, uid: str, address: str) -> None:
        super().__init__(address)
        self._bench_uid = uid

    @property
    def unique_id(self) -> str:
        return self._bench_uid

    @property
    def vendor_name(self) -> str:
        return "Virtual bench"

    @property
    def product_name(self) -> str:
        return "SWD probe (running bench)"

    def open(self) -> None:
        super().open()
        self._socket.set_timeout(ANSWER_LIMIT)


def _remote_probes() -> dict[str, str]:
    pairs = (item.partition("=") for item in os.environ.get(REMOTE_PROBES, "").split(",") if item)
    return {uid: address for uid, equals, address in pairs if equals}
