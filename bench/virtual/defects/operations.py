"""Operations and codecs: what is read, written, executed and discovered, and in which format."""

from __future__ import annotations

from typing import Any

from bench.virtual.defects.defect import Area
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware import data_model as model
from bench.virtual.firmware.client import Client
from bench.virtual.firmware.coap_engine import Request
from bench.virtual.firmware.update.reception import Reception

OPERATIONS = Area("operations and codecs")


@OPERATIONS(
    model, "integer_bytes", source="own", hints=("test_operations.py::test_integers_near_their_borders",)
)
def integers_without_room_for_the_sign(healthy: Any) -> Any:
    """In TLV 200 is one byte and 40000 two, which read as negative numbers."""

    def integer_bytes(value: int) -> bytes:
        if value < 0:
            return bytes(healthy(value))
        width = next(width for width in (1, 2, 4, 8) if value < 1 << 8 * width)
        return value.to_bytes(width, "big")

    return integer_bytes


@OPERATIONS(model, "from_binary", source="own", hints=("test_operations.py::test_integer_in_tlv",))
def integers_of_eight_bytes_refused(healthy: Any) -> Any:
    """Integers of eight bytes in TLV are answered 4.00."""

    def from_binary(kind: str, payload: bytes) -> Any:
        if kind == "int" and len(payload) == 8:
            raise ValueError("too wide")
        return healthy(kind, payload)

    return from_binary


@OPERATIONS(model, "from_binary", source="own", hints=("test_operations.py::test_integer_in_tlv",))
def integers_read_without_their_sign(healthy: Any) -> Any:
    """Integers that are written in TLV are taken for unsigned: -1 is 255."""

    def from_binary(kind: str, payload: bytes) -> Any:
        value = healthy(kind, payload)
        return int.from_bytes(payload, "big") if kind == "int" else value

    return from_binary


@OPERATIONS(model, "senml", source="own", hints=("test_operations.py::test_instance_in_each_format",))
def senml_base_name_without_its_slash(healthy: Any) -> Any:
    """The base name of an instance in SenML ends without a slash: /5/0 and 3 make /5/03."""

    def senml(base: Any, rows: Any) -> bytes:
        packed = bytes(healthy(base, rows))
        name = "/" + "/".join(map(str, base)) + "/"
        if len(base) != 2 or len(name) > 23:
            return packed
        longer, shorter = model.cbor2.dumps(name), model.cbor2.dumps(name[:-1])
        return packed.replace(longer, shorter, 1)

    return senml


@OPERATIONS(Client, "_payload_of", source="own", hints=("test_coap.py::test_format_that_nobody_knows",))
def format_asked_for_ignored(healthy: Any) -> Any:
    """A format that the device does not speak is answered in one that it does, not 4.06."""

    def payload_of(self: Client, path: Any, accept: int | None = None) -> Any:
        try:
            return healthy(self, path, accept)
        except NotImplementedError:
            return healthy(self, path, None)

    return payload_of


@OPERATIONS(Client, "_value", source="own", hints=("test_coap.py::test_format_that_nobody_knows",))
def unknown_format_read_as_text(healthy: Any) -> Any:
    """A value that is written in an unknown format is taken for text, not answered 4.15."""

    def value(self: Client, resource: Any, path: Any, content_format: int | None, payload: bytes) -> Any:
        try:
            return healthy(self, resource, path, content_format, payload)
        except NotImplementedError:
            return healthy(self, resource, path, model.TEXT, payload)

    return value


@OPERATIONS(Client, "_value", source="own", hints=("test_operations.py::test_tlv_of_another_resource",))
def tlv_of_another_resource_taken(healthy: Any) -> Any:
    """The number in the TLV of a Write is not looked at."""

    def value(self: Client, resource: Any, path: Any, content_format: int | None, payload: bytes) -> Any:
        if content_format == model.TLV:
            return model.from_binary(resource.kind, model.tlv_single(payload)[1])
        return healthy(self, resource, path, content_format, payload)

    return value


@OPERATIONS(model, "tlv_instance", source="own", hints=("test_operations.py::test_instance_in_each_format",))
def zeros_left_out_of_an_instance(healthy: Any) -> Any:
    """In the TLV of an instance integers of value 0 are left out."""

    def tlv_instance(instance: model.Instance) -> bytes:
        told = {n: r for n, r in instance.resources.items() if r.read is None or r.read() != 0}
        return bytes(healthy(model.Instance(told)))

    return tlv_instance


@OPERATIONS(
    Client,
    "_discover",
    source="own",
    hints=("test_resources.py::test_discover_names_the_mandatory_resources",),
)
def discover_leaves_out_what_cannot_be_read(healthy: Any) -> Any:
    """Discover lists readable resources alone: neither Package nor Update."""

    def discover(self: Client, request: Any, path: Any) -> None:
        held = self.tree
        self.tree = {
            number: {
                i: model.Instance({n: r for n, r in one.resources.items() if r.read is not None})
                for i, one in instances.items()
            }
            for number, instances in held.items()
        }
        try:
            healthy(self, request, path)
        finally:
            self.tree = held

    return discover


@OPERATIONS(
    Reception,
    "resources",
    source="own",
    hints=("test_coap.py::test_operation_that_a_resource_does_not_have",),
)
def state_can_be_written(healthy: Any) -> Any:
    """State takes a Write, and shows what was written."""

    def resources(self: Reception) -> Any:
        found = healthy(self)

        def write(value: int) -> int:
            self._fota.become(value & 3, self._fota.result)
            return coap.CHANGED

        found[3].write = write
        return found

    return resources


@OPERATIONS(
    Reception,
    "resources",
    source="own",
    hints=("test_coap.py::test_operation_that_a_resource_does_not_have",),
)
def result_write_answered_as_done(healthy: Any) -> Any:
    """A Write to Update Result is answered 2.04, without effect."""

    def resources(self: Reception) -> Any:
        found = healthy(self)
        found[5].write = lambda value: coap.CHANGED
        return found

    return resources


@OPERATIONS(
    Reception,
    "resources",
    source="own",
    hints=("test_coap.py::test_operation_that_a_resource_does_not_have",),
)
def package_can_be_read(healthy: Any) -> Any:
    """Package can be read, and is empty."""

    def resources(self: Reception) -> Any:
        found = healthy(self)
        found[0].read = lambda: b""
        return found

    return resources


@OPERATIONS(Client, "_exists", source="own", hints=("test_coap.py::test_resource_that_is_not_there",))
def missing_resource_answered_as_not_allowed(healthy: Any) -> Any:
    """What is asked of a resource that an instance does not have is answered 4.05, not 4.04."""
    return lambda self, path: healthy(self, path) or (len(path) == 3 and healthy(self, path[:2]))


@OPERATIONS(Client, "_post", source="own", hints=("test_operations.py::test_execute_of_what_cannot_be",))
def execute_of_anything_answered_as_done(healthy: Any) -> Any:
    """Execute of a resource that cannot be executed is answered 2.04."""

    def post(self: Client, request: Any, path: Any) -> None:
        resource = self._find(path)
        if resource is not None and resource.execute is None:
            request.respond(coap.CHANGED)
        else:
            healthy(self, request, path)

    return post


@OPERATIONS(Request, "respond", source="own", hints=("test_coap.py::test_read_tells_its_format",))
def payload_without_its_format(healthy: Any) -> Any:
    """What is read comes without its Content-Format."""

    def respond(self: Request, code: int, payload: bytes = b"", options: Any = None) -> None:
        kept = [option for option in options or [] if option[0] != coap.CONTENT_FORMAT]
        healthy(self, code, payload, kept)

    return respond
