"""pyOCD's remote probe protocol, so that other programs reach the chips of a running virtual bench.

One JSON object a line: {"id", "request", "arguments"} -> {"id", "status", "result"} (pyOCD
documentation, "Remote probe access", protocol version 1). One port serves one chip.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from typing import Any

from bench.virtual.nrf91.chip import Nrf91Chip
from bench.virtual.nrf91.dap import Fault, NoTarget

STATUS_ERROR, STATUS_PROBE_ERROR, STATUS_TRANSFER_ERROR, STATUS_FAULT = 1, 3, 10, 12
PROTOCOL, PROTOCOL_VERSION = "SWD", 1


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        server: ProbeServer = self.server.probe_server  # type: ignore[attr-defined]
        try:
            for line in self.rfile:
                self.wfile.write(json.dumps(self._answer(server, line)).encode() + b"\n")
        except OSError:
            pass  # the client has gone
        finally:
            server.give_back(self)

    def _answer(self, server: ProbeServer, line: bytes) -> dict[str, Any]:
        number: Any = -1
        try:
            request = json.loads(line)
            number = request["id"]
            if request["request"] == "open" and not server.take(self):
                return {
                    "id": number,
                    "status": STATUS_PROBE_ERROR,
                    "error": "probe is in use by another debugger",
                }
            if request["request"] == "close":
                server.give_back(self)
            return server.answer(request)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return {"id": number, "status": STATUS_ERROR, "error": f"malformed request: {error}"}


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = False


class ProbeServer:
    """Serves one chip on a loopback port of its own."""

    def __init__(self, uid: str, chip: Nrf91Chip) -> None:
        self._uid, self._chip = uid, chip
        self._connected = False
        self._clients = threading.Lock()
        self._holder: object = None
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.probe_server = self  # type: ignore[attr-defined]
        dap = chip.dap
        self._requests: dict[str, Callable[..., Any]] = {
            "hello": self._hello,
            "open": lambda: None,
            "close": lambda: None,
            "lock": lambda: None,
            "unlock": lambda: None,
            "flush": lambda: None,
            "set_clock": lambda frequency: None,
            "swj_sequence": dap.line,
            "readprop": self._property,
            "connect": self._connect,
            "disconnect": self._disconnect,
            "reset": self._reset,
            "assert_reset": lambda asserted: chip.hold_reset("pin", asserted),
            "is_reset_asserted": lambda: chip.pin_reset_held,
            "read_dp": dap.read_dp,
            "write_dp": dap.write_dp,
            "read_ap": dap.read_ap,
            "write_ap": dap.write_ap,
            "read_ap_multiple": dap.read_ap_many,
            "write_ap_multiple": dap.write_ap_many,
            "get_memory_interface_for_ap": lambda version, port: None,
        }

    def start(self) -> tuple[str, int]:
        """Serve in a daemon thread. Returns host and port."""
        threading.Thread(target=self._server.serve_forever, name="probe-server", daemon=True).start()
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request, with the plant locked while it is carried out."""
        call = self._requests.get(request["request"])
        if call is None:
            return {
                "id": request["id"],
                "status": STATUS_ERROR,
                "error": f"unknown request {request['request']}",
            }
        try:
            with self._chip.scheduler.lock:
                result = call(*request.get("arguments", ()))
        except Fault as fault:
            return {"id": request["id"], "status": STATUS_FAULT, "error": str(fault)}
        except NoTarget as silent:
            return {"id": request["id"], "status": STATUS_TRANSFER_ERROR, "error": str(silent)}
        answer = {"id": request["id"], "status": 0}
        if result is not None:
            answer["result"] = result
        return answer

    @staticmethod
    def _hello(version: int) -> None:
        if version != PROTOCOL_VERSION:
            raise ValueError(f"protocol version {version} is not {PROTOCOL_VERSION}")

    def _property(self, name: str) -> Any:
        return {
            "vendor_name": "Virtual bench",
            "product_name": "SWD probe",
            "unique_id": self._uid,
            "supported_wire_protocols": ["DEFAULT", PROTOCOL],
            "wire_protocol": PROTOCOL if self._connected else None,
            "capabilities": ["SWJ_SEQUENCE", "BANKED_DP_REGISTERS"],
            "is_open": True,
        }[name]

    def _connect(self, protocol: str) -> None:
        self._connected = True

    def _disconnect(self) -> None:
        self._connected = False

    def _reset(self) -> None:
        self._chip.hold_reset("pin", True)
        self._chip.hold_reset("pin", False)

    # ---- clients: one at a time, as at a USB probe

    def take(self, client: object) -> bool:
        """Whether `client` has the probe now."""
        with self._clients:
            if self._holder is None:
                self._holder = client
            return self._holder is client

    def give_back(self, client: object) -> None:
        with self._clients:
            if self._holder is client:
                self._holder = None
                self._connected = False
