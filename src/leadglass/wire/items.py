"""User-information items and the other parts of the A-ASSOCIATE PDUs (PS3.8 9.3.2, Annex D; PS3.7 Annex D.3).

Rule: an item we do not know is skipped, as the Standard says. A known item that
does not fit into its length is a violation. Text is printable ASCII after its
padding is taken off, or it is a violation; only the implementation version
name, which nothing depends on, is cleaned instead.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from leadglass.wire.errors import ProtocolViolation

_ITEM = struct.Struct(">BxH")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")

DEFAULT_MAXIMUM_LENGTH = 16 * 1024
"""bytes; assumed for a peer that leaves the mandatory item out."""

MOST_SUB_ITEMS = 1024
"""of one user information item: roles and extended negotiation for each of 128 contexts are 256."""


class ItemType(IntEnum):
    """Item types of PS3.8 9.3.2 to 9.3.3, D.1 and PS3.7 D.3.3."""

    APPLICATION_CONTEXT = 0x10
    PRESENTATION_CONTEXT_RQ = 0x20
    PRESENTATION_CONTEXT_AC = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNCHRONOUS_OPERATIONS_WINDOW = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    EXTENDED_NEGOTIATION = 0x56
    COMMON_EXTENDED_NEGOTIATION = 0x57
    USER_IDENTITY_RQ = 0x58
    USER_IDENTITY_AC = 0x59


class UserIdentityType(IntEnum):
    """Forms of identity (PS3.7 D.3.3.7.1)."""

    USERNAME = 1
    USERNAME_AND_PASSCODE = 2
    KERBEROS = 3
    SAML = 4
    JWT = 5


@dataclass(frozen=True, slots=True)
class Role:
    """Roles of the association requestor for one SOP class (PS3.7 D.3.3.4)."""

    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class CommonExtended:
    """SOP class common extended negotiation (PS3.7 D.3.3.6)."""

    service_class_uid: str
    related_general_sop_class_uids: tuple[str, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class UserIdentity:
    """Who the requestor says its user is (PS3.7 D.3.3.7.1); its repr shows no secret."""

    type: int
    primary: bytes
    secondary: bytes = b""
    positive_response_requested: bool = False

    def __repr__(self) -> str:
        """Show the form only."""
        return f"UserIdentity(type={self.type})"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInformation:
    """Everything of item 50H, in either direction; common extended and user identity go in the request only.

    Attributes
    ----------
    max_length : int
        bytes a P-DATA-TF PDU's variable field may have; 0 is no limit (PS3.8 D.1).
    async_ops : tuple of int, optional
        (invoked, performed) maximum number of outstanding operations, 0 is no limit (PS3.7 D.3.3.3).
    user_identity_response : bytes, optional
        Server response of item 59H; in an acceptance only.
    """

    max_length: int = DEFAULT_MAXIMUM_LENGTH
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    async_ops: tuple[int, int] | None = None
    roles: Mapping[str, Role] = field(default_factory=dict[str, Role])
    extended: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    common_extended: Mapping[str, CommonExtended] = field(default_factory=dict[str, CommonExtended])
    user_identity: UserIdentity | None = None
    user_identity_response: bytes | None = None


# --- text ------------------------------------------------------------------


def printable(text: str) -> bool:
    """Tell whether text is printable ASCII, space included."""
    return text.isascii() and text.isprintable()


def decode_uid(raw: bytes | memoryview) -> str:
    """Read a UID, with or without padding.

    Raises
    ------
    ProtocolViolation
        When it is longer than 64 characters or not printable. Whether it is a proper UID is for whoever uses it: an
        abstract syntax nobody knows is refused, not a reason to abort.
    """
    text = bytes(raw).rstrip(b"\0 ").lstrip(b" ")
    if len(text) > 64:
        raise ProtocolViolation("A UID in an A-ASSOCIATE PDU is longer than 64 characters.")
    try:
        uid = text.decode("ascii")
    except UnicodeDecodeError:
        raise ProtocolViolation("A UID in an A-ASSOCIATE PDU is not ASCII.") from None
    if not printable(uid):
        raise ProtocolViolation("A UID in an A-ASSOCIATE PDU holds control characters.")
    return uid


def encode_uid(uid: str) -> bytes:
    """Write a UID without padding, as PS3.8 F wants it."""
    if len(uid) > 64 or not printable(uid) or uid != uid.strip(" "):
        raise ValueError("A UID has at most 64 printable characters.")
    return uid.encode("ascii")


def decode_ae_title(raw: bytes | memoryview) -> str:
    """Read an AE title of 16 characters; padding (spaces, for some senders NULs) is not significant.

    Raises
    ------
    ProtocolViolation
        When it holds control characters, a backslash or anything but ASCII (PS3.5 6.2 AE).
    """
    try:
        title = bytes(raw).strip(b"\0 ").decode("ascii")
    except UnicodeDecodeError:
        raise ProtocolViolation("An AE title is not ASCII.") from None
    if not printable(title) or "\\" in title:
        raise ProtocolViolation("An AE title holds characters that PS3.5 does not allow.")
    return title


def encode_ae_title(title: str) -> bytes:
    """Write an AE title of at most 16 characters, padded with spaces."""
    if len(title) > 16 or not printable(title) or "\\" in title:
        raise ValueError("An AE title has at most 16 printable characters without backslash.")
    return title.encode("ascii").ljust(16)


# --- items -----------------------------------------------------------------


def items(raw: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Walk over the items in ``raw``.

    Raises
    ------
    ProtocolViolation
        When an item does not fit.
    """
    offset, end = 0, len(raw)
    while offset < end:
        if end - offset < 4:
            raise ProtocolViolation("An item's header is cut off.")
        kind, length = _ITEM.unpack_from(raw, offset)
        offset += 4
        if length > end - offset:
            raise ProtocolViolation(f"Item {kind:02X}H is longer than what holds it.")
        yield kind, raw[offset : offset + length]
        offset += length


def item(kind: int, value: bytes) -> bytes:
    """Write one item."""
    if len(value) > 0xFFFF:
        raise ValueError(f"Item {kind:02X}H has more than 65535 bytes.")
    return _ITEM.pack(kind, len(value)) + value


def _counted(raw: memoryview, offset: int, what: str) -> tuple[memoryview, int]:
    """Read a value that has its own 2-byte length."""
    if len(raw) - offset < 2:
        raise ProtocolViolation(f"{what} is cut off.")
    (length,) = _U16.unpack_from(raw, offset)
    offset += 2
    if length > len(raw) - offset:
        raise ProtocolViolation(f"{what} is longer than its item.")
    return raw[offset : offset + length], offset + length


def _count(value: bytes) -> bytes:
    return _U16.pack(len(value)) + value


def _decode_common_extended(version: int, raw: memoryview) -> tuple[str, CommonExtended]:
    sop_class, offset = _counted(raw, 0, "SOP class UID of common extended negotiation")
    service_class, offset = _counted(raw, offset, "Service class UID of common extended negotiation")
    related_raw, _ = _counted(raw, offset, "Related general SOP classes")
    related: list[str] = []
    position = 0
    while position < len(related_raw):
        uid, position = _counted(related_raw, position, "Related general SOP class UID")
        related.append(decode_uid(uid))
    return decode_uid(sop_class), CommonExtended(decode_uid(service_class), tuple(related), version)


def _decode_user_identity(raw: memoryview) -> UserIdentity:
    if len(raw) < 6:
        raise ProtocolViolation("The user identity item is cut off.")
    primary, offset = _counted(raw, 2, "Primary field of the user identity")
    secondary, _ = _counted(raw, offset, "Secondary field of the user identity")
    return UserIdentity(raw[0], bytes(primary), bytes(secondary), raw[1] == 1)


def decode_user_information(raw: memoryview) -> UserInformation:  # noqa: C901 - one case per item of the Standard
    """Read the sub-items of item 50H; of an item that comes twice, the last one counts.

    Raises
    ------
    ProtocolViolation
        When a known item is malformed, or there are more than ``MOST_SUB_ITEMS``.
    """
    max_length = DEFAULT_MAXIMUM_LENGTH
    class_uid = version_name = ""
    async_ops: tuple[int, int] | None = None
    roles: dict[str, Role] = {}
    extended: dict[str, bytes] = {}
    common: dict[str, CommonExtended] = {}
    identity: UserIdentity | None = None
    response: bytes | None = None
    offset = 0
    for number, (kind, value) in enumerate(items(raw)):
        if number == MOST_SUB_ITEMS:
            raise ProtocolViolation(f"The user information has more than {MOST_SUB_ITEMS} sub-items.")
        match kind:
            case ItemType.MAXIMUM_LENGTH:
                if len(value) != 4:
                    raise ProtocolViolation("The maximum length item does not have 4 bytes.")
                (max_length,) = _U32.unpack(value)
            case ItemType.IMPLEMENTATION_CLASS_UID:
                class_uid = decode_uid(value)
            case ItemType.IMPLEMENTATION_VERSION_NAME:
                name = bytes(value[:64]).decode("latin-1").strip("\0 ")[:16].strip()
                version_name = "".join(c if printable(c) else "?" for c in name)
            case ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW:
                if len(value) != 4:
                    raise ProtocolViolation("The asynchronous operations window item does not have 4 bytes.")
                async_ops = (_U16.unpack_from(value, 0)[0], _U16.unpack_from(value, 2)[0])
            case ItemType.ROLE_SELECTION:
                uid, end = _counted(value, 0, "SOP class UID of role selection")
                if len(value) - end != 2:
                    raise ProtocolViolation("The role selection item does not end with two role bytes.")
                roles[decode_uid(uid)] = Role(value[end] == 1, value[end + 1] == 1)
            case ItemType.EXTENDED_NEGOTIATION:
                uid, end = _counted(value, 0, "SOP class UID of extended negotiation")
                extended[decode_uid(uid)] = bytes(value[end:])
            case ItemType.COMMON_EXTENDED_NEGOTIATION:
                # The byte that is reserved elsewhere is this item's version (PS3.7 Table D.3-12).
                sop_class, negotiation = _decode_common_extended(raw[offset + 1], value)
                common[sop_class] = negotiation
            case ItemType.USER_IDENTITY_RQ:
                identity = _decode_user_identity(value)
            case ItemType.USER_IDENTITY_AC:
                response = bytes(_counted(value, 0, "Server response of the user identity")[0])
            case _:
                pass
        offset += 4 + len(value)
    return UserInformation(
        max_length=max_length,
        implementation_class_uid=class_uid,
        implementation_version_name=version_name,
        async_ops=async_ops,
        roles=roles,
        extended=extended,
        common_extended=common,
        user_identity=identity,
        user_identity_response=response,
    )


def encode_user_information(user: UserInformation) -> bytes:
    """Write item 50H with the sub-items in the order of their types."""
    parts = [item(ItemType.MAXIMUM_LENGTH, _U32.pack(user.max_length))]
    if user.implementation_class_uid:
        parts.append(item(ItemType.IMPLEMENTATION_CLASS_UID, encode_uid(user.implementation_class_uid)))
    if user.async_ops is not None:
        invoked, performed = user.async_ops
        parts.append(item(ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW, _U16.pack(invoked) + _U16.pack(performed)))
    for uid, role in user.roles.items():
        parts.append(item(ItemType.ROLE_SELECTION, _count(encode_uid(uid)) + bytes((role.scu, role.scp))))
    if user.implementation_version_name:
        name = user.implementation_version_name
        if len(name) > 16 or not printable(name):
            raise ValueError("An implementation version name has at most 16 printable characters.")
        parts.append(item(ItemType.IMPLEMENTATION_VERSION_NAME, name.encode("ascii")))
    for uid, information in user.extended.items():
        parts.append(item(ItemType.EXTENDED_NEGOTIATION, _count(encode_uid(uid)) + information))
    for uid, common in user.common_extended.items():
        related = b"".join(_count(encode_uid(general)) for general in common.related_general_sop_class_uids)
        value = _count(encode_uid(uid)) + _count(encode_uid(common.service_class_uid)) + _count(related)
        encoded = bytearray(item(ItemType.COMMON_EXTENDED_NEGOTIATION, value))
        encoded[1] = common.version
        parts.append(bytes(encoded))
    if user.user_identity is not None:
        identity = user.user_identity
        head = bytes((identity.type, identity.positive_response_requested))
        value = head + _count(identity.primary) + _count(identity.secondary)
        parts.append(item(ItemType.USER_IDENTITY_RQ, value))
    if user.user_identity_response is not None:
        parts.append(item(ItemType.USER_IDENTITY_AC, _count(user.user_identity_response)))
    return item(ItemType.USER_INFORMATION, b"".join(parts))
