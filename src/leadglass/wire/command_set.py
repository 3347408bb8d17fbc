"""Command sets as bytes: PS3.7 6.3, always Implicit VR Little Endian.

Rule: a command set is read whole or refused with ``ProtocolViolation``: every
element of group 0000, tags ascending, lengths within, known elements of the
right length, what PS3.7 demands present. Elements this message does not have are
ignored. A wrong group length is ignored too, because the PDVs say where it ends.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Final, NamedTuple

from leadglass.wire.errors import ProtocolViolation
from leadglass.wire.items import printable
from leadglass.wire.messages import ERROR_COMMENT_LENGTH, FIELD_OF, Command, CommandField

_ELEMENT: Final = struct.Struct("<HHI")
_US: Final = struct.Struct("<H")
_TAG: Final = struct.Struct("<HH")
_HEAD: Final = struct.Struct("<HHII")

_GROUP_LENGTH: Final = 0x0000
_COMMAND_FIELD: Final = 0x0100
_DATA_SET_TYPE: Final = 0x0800
NO_DATA_SET: Final = 0x0101
"""Command Data Set Type of a message that has none (PS3.7 E.1)."""
_DATA_SET: Final = 0x0001

Value = int | str | tuple[int, ...]


def _read_us(raw: memoryview) -> int:
    if len(raw) != 2:
        raise ProtocolViolation("A command element of VR US does not have 2 bytes.")
    return raw[0] | raw[1] << 8


def _write_us(value: Value) -> bytes:
    return _US.pack(value)


def _text(raw: memoryview, most: int, what: str) -> str:
    value = bytes(raw).strip(b"\0 ")
    if len(value) > most:
        raise ProtocolViolation(f"A command element of VR {what} has more than {most} characters.")
    try:
        text = value.decode("ascii")
    except UnicodeDecodeError:
        raise ProtocolViolation(f"A command element of VR {what} is not ASCII.") from None
    if not printable(text) or "\\" in text:
        raise ProtocolViolation(f"A command element of VR {what} holds characters that PS3.5 does not allow.")
    return text


def _read_ui(raw: memoryview) -> str:
    return _text(raw, 64, "UI")


def _write_ui(value: Value) -> bytes:
    if not isinstance(value, str) or len(value) > 64 or not printable(value):
        raise ValueError("A UID has at most 64 printable characters.")
    raw = value.encode("ascii")
    return raw + b"\0" if len(raw) & 1 else raw


def _read_ae(raw: memoryview) -> str:
    return _text(raw, 16, "AE")


def _write_ae(value: Value) -> bytes:
    if not isinstance(value, str) or len(value) > 16 or not printable(value):
        raise ValueError("An AE title has at most 16 printable characters.")
    raw = value.encode("ascii")
    return raw + b" " if len(raw) & 1 else raw


def clean_comment(text: str) -> str:
    """Cut a comment to what an Error Comment may hold: it informs, so it never fails."""
    cleaned = "".join(c if printable(c) and c != "\\" else "?" for c in text[:ERROR_COMMENT_LENGTH])
    return cleaned.strip(" ")


def _read_lo(raw: memoryview) -> str:
    return clean_comment(bytes(raw[: 4 * ERROR_COMMENT_LENGTH]).decode("latin-1").strip("\0 "))


def _write_lo(value: Value) -> bytes:
    raw = clean_comment(str(value)).encode("ascii")
    return raw + b" " if len(raw) & 1 else raw


def _read_at(raw: memoryview) -> tuple[int, ...]:
    if len(raw) % 4:
        raise ProtocolViolation("A command element of VR AT does not have a multiple of 4 bytes.")
    return tuple(group << 16 | element for group, element in _TAG.iter_unpack(raw))


def _write_at(value: Value) -> bytes:
    if not isinstance(value, tuple):
        raise TypeError("An attribute list is a tuple of tags.")
    return b"".join(_TAG.pack(tag >> 16, tag & 0xFFFF) for tag in value)


class _VR(NamedTuple):
    read: Callable[[memoryview], Value]
    write: Callable[[Value], bytes]


_US_VR: Final = _VR(_read_us, _write_us)
_UI_VR: Final = _VR(_read_ui, _write_ui)
_AE_VR: Final = _VR(_read_ae, _write_ae)
_LO_VR: Final = _VR(_read_lo, _write_lo)
_AT_VR: Final = _VR(_read_at, _write_at)

ELEMENTS: Final[Mapping[str, tuple[int, _VR]]] = {
    "affected_sop_class_uid": (0x0002, _UI_VR),
    "requested_sop_class_uid": (0x0003, _UI_VR),
    "message_id": (0x0110, _US_VR),
    "message_id_being_responded_to": (0x0120, _US_VR),
    "move_destination": (0x0600, _AE_VR),
    "priority": (0x0700, _US_VR),
    "status": (0x0900, _US_VR),
    "offending_element": (0x0901, _AT_VR),
    "error_comment": (0x0902, _LO_VR),
    "error_id": (0x0903, _US_VR),
    "affected_sop_instance_uid": (0x1000, _UI_VR),
    "requested_sop_instance_uid": (0x1001, _UI_VR),
    "event_type_id": (0x1002, _US_VR),
    "attribute_identifier_list": (0x1005, _AT_VR),
    "action_type_id": (0x1008, _US_VR),
    "number_of_remaining_suboperations": (0x1020, _US_VR),
    "number_of_completed_suboperations": (0x1021, _US_VR),
    "number_of_failed_suboperations": (0x1022, _US_VR),
    "number_of_warning_suboperations": (0x1023, _US_VR),
    "move_originator_ae_title": (0x1030, _AE_VR),
    "move_originator_message_id": (0x1031, _US_VR),
}
"""Elements of group 0000 (PS3.7 E.1) by the name of their field. The wire has its own, because it stands alone."""


class _Field(NamedTuple):
    name: str
    element: int
    vr: _VR
    required: bool
    absent: Value | None


class _Layout(NamedTuple):
    make: Callable[..., Command]
    fields: tuple[_Field, ...]


def _layout(command: type[Command]) -> _Layout:
    found: list[_Field] = []
    for each in fields(command):
        element, vr = ELEMENTS[each.name]
        default: Value | None = None if each.default is MISSING else each.default
        found.append(_Field(each.name, element, vr, each.default is MISSING, default))
    found.sort(key=lambda each: each.element)
    return _Layout(command, tuple(found))


_LAYOUTS: Final[Mapping[type[Command], _Layout]] = {command: _layout(command) for command in FIELD_OF}
_BY_FIELD: Final[Mapping[int, _Layout]] = {int(number): _LAYOUTS[command] for command, number in FIELD_OF.items()}


def encode(command: Command, *, has_data_set: bool) -> bytes:
    """Write a command set, group length first, elements ascending.

    Raises
    ------
    ValueError
        When a field cannot be written (a UID too long, a number out of range).
    """
    parts: list[tuple[int, bytes]] = [
        (_COMMAND_FIELD, _US.pack(FIELD_OF[type(command)])),
        (_DATA_SET_TYPE, _US.pack(_DATA_SET if has_data_set else NO_DATA_SET)),
    ]
    for field in _LAYOUTS[type(command)].fields:
        value: Value | None = getattr(command, field.name)
        if value is None or (not field.required and value in ("", ())):
            continue
        try:
            parts.append((field.element, field.vr.write(value)))
        except struct.error:
            raise ValueError(f"{field.name} does not fit into its element.") from None
    parts.sort()
    body = b"".join(_ELEMENT.pack(0, element, len(value)) + value for element, value in parts)
    return _HEAD.pack(0, _GROUP_LENGTH, 4, len(body)) + body


def _elements(raw: memoryview) -> dict[int, memoryview]:
    found: dict[int, memoryview] = {}
    offset, end, last = 0, len(raw), -1
    while offset < end:
        if end - offset < 8:
            raise ProtocolViolation("A command element's header is cut off.")
        group, element, length = _ELEMENT.unpack_from(raw, offset)
        offset += 8
        if group != 0:
            raise ProtocolViolation("A command set holds an element that is not of group 0000.")
        if element <= last:
            raise ProtocolViolation("The elements of a command set are not ascending.")
        if length > end - offset:
            raise ProtocolViolation("A command element is longer than its command set.")
        found[element] = raw[offset : offset + length]
        last = element
        offset += length
    return found


def decode(raw: bytes | bytearray | memoryview) -> tuple[Command, bool]:
    """Read a command set.

    Returns
    -------
    tuple of Command and bool
        The command, and whether a data set follows it.

    Raises
    ------
    ProtocolViolation
        When it is not a command set of PS3.7.
    """
    elements = _elements(memoryview(raw))
    number = elements.get(_COMMAND_FIELD)
    data_set_type = elements.get(_DATA_SET_TYPE)
    if number is None or data_set_type is None:
        raise ProtocolViolation("A command set has no Command Field or no Command Data Set Type.")
    layout = _BY_FIELD.get(_read_us(number))
    if layout is None:
        raise ProtocolViolation("A command set's Command Field is not one of PS3.7.")
    values: dict[str, Value | None] = {}
    for field in layout.fields:
        value = elements.get(field.element)
        # A required element must have a value; an optional one that is empty is absent.
        if value is not None and len(value):
            values[field.name] = field.vr.read(value)
        elif field.required:
            raise ProtocolViolation(f"A command set has no {field.name}.")
        else:
            values[field.name] = field.absent
    return layout.make(**values), _read_us(data_set_type) != NO_DATA_SET


__all__ = ["ELEMENTS", "NO_DATA_SET", "CommandField", "clean_comment", "decode", "encode"]
