"""The object model: the resources of the OMA objects the bench deals with.

Facts from the OMA LwM2M registry: objects 0 (Security), 1 (Server), 3 (Device), 4 (Connectivity
Monitoring), 5 (Firmware Update).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from bench.lwm2m.codecs.error import CodecError

Value = int | float | bool | str | bytes | dict[int, "int | float | bool | str | bytes"]


@dataclass(frozen=True, slots=True)
class Resource:
    """`operations`: letters of R, W, E; `kind`: int, float, bool, str, bytes, time or none."""

    name: str
    operations: str
    kind: str
    multiple: bool = False


def _table(rows: str) -> dict[int, Resource]:
    table = {}
    for row in rows.strip().splitlines():
        number, operations, kind, name = row.split(None, 3)
        multiple = kind.endswith("[]")
        table[int(number)] = Resource(name, operations.strip("-"), kind.removesuffix("[]"), multiple)
    return table


OBJECTS: dict[int, dict[int, Resource]] = {
    1: _table("""
        0  R  int  Short Server ID
        1  RW int  Lifetime
        2  RW int  Default Minimum Period
        3  RW int  Default Maximum Period
        4  E  none Disable
        5  RW int  Disable Timeout
        6  RW bool Notification Storing When Disabled or Offline
        7  RW str  Binding
        8  E  none Registration Update Trigger
    """),
    3: _table("""
        0  R  str  Manufacturer
        1  R  str  Model Number
        2  R  str  Serial Number
        3  R  str  Firmware Version
        4  E  none Reboot
        5  E  none Factory Reset
        6  R  int[] Available Power Sources
        7  R  int[] Power Source Voltage
        8  R  int[] Power Source Current
        9  R  int  Battery Level
        10 R  int  Memory Free
        11 R  int[] Error Code
        12 E  none Reset Error Code
        13 RW time Current Time
        14 RW str  UTC Offset
        15 RW str  Timezone
        16 R  str  Supported Binding and Modes
        17 R  str  Device Type
        18 R  str  Hardware Version
        19 R  str  Software Version
        20 R  int  Battery Status
        21 R  int  Memory Total
    """),
    4: _table("""
        0  R  int  Network Bearer
        1  R  int[] Available Network Bearer
        2  R  int  Radio Signal Strength
        3  R  int  Link Quality
        4  R  str[] IP Addresses
        5  R  str[] Router IP Addresses
        6  R  int  Link Utilization
        7  R  str[] APN
        8  R  int  Cell ID
        9  R  int  SMNC
        10 R  int  SMCC
        11 R  int  SignalSNR
        12 R  int  LAC
    """),
    5: _table("""
        0  W  bytes Package
        1  RW str  Package URI
        2  E  none Update
        3  R  int  State
        5  R  int  Update Result
        6  R  str  PkgName
        7  R  str  PkgVersion
        8  R  int[] Firmware Update Protocol Support
        9  R  int  Firmware Update Delivery Method
        10 E  none Cancel
        11 RW int  Severity
        12 R  time Last State Change Time
        13 RW int  Maximum Defer Period
    """),
}


def resource(object_id: int, resource_id: int) -> Resource | None:
    return OBJECTS.get(object_id, {}).get(resource_id)


def from_text(kind: str, text: str) -> Value:
    """A text/plain value as Python's. Raises `CodecError` when it is none of its kind."""
    try:
        if kind in ("int", "time"):
            return int(text)
        if kind == "float":
            return float(text)
    except ValueError:
        raise CodecError(f"{text[:40]!r} is no {kind}") from None
    if kind == "bool":
        if text not in ("0", "1"):
            raise CodecError(f"{text[:40]!r} is no bool")
        return text == "1"
    return text


def from_bytes(kind: str, data: bytes) -> Value:
    """A TLV value as Python's. Raises `CodecError` when its length does not fit its kind."""
    if kind in ("int", "time"):
        if len(data) not in (1, 2, 4, 8):
            raise CodecError(f"an integer of {len(data)} bytes")
        return int.from_bytes(data, "big", signed=True)
    if kind == "bool":
        if data not in (b"\0", b"\1"):
            raise CodecError(f"a bool of bytes {data[:4].hex()}")
        return data == b"\1"
    if kind == "float":
        if len(data) not in (4, 8):
            raise CodecError(f"a float of {len(data)} bytes")
        value: float = struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
        return value
    if kind == "str":
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CodecError(f"a string that is not UTF-8: {error.reason}") from None
    return data
