"""Bytes as a hostile peer writes them: PDUs made by hand, so that every field can lie."""

import contextlib
import socket
import ssl
from collections.abc import Iterable
from struct import pack
from typing import Final

VERIFICATION: Final = "1.2.840.10008.1.1"
IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
CT: Final = "1.2.840.10008.5.1.4.1.1.2"
STUDY_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
EVERY_LENGTH: Final = 0xFFFFFFFF

ABORT: Final = b"\x07\0\0\0\0\x04\0\0\0\0"
RELEASE_RQ: Final = b"\x05\0\0\0\0\x04\0\0\0\0"
RELEASE_RP: Final = b"\x06\0\0\0\0\x04\0\0\0\0"


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    """Write a PDU (PS3.8 9.3.1); ``length`` lies."""
    return pack(">BxI", kind, len(body) if length is None else length) + body


def item(kind: int, body: bytes, length: int | None = None) -> bytes:
    """Write an item of an A-ASSOCIATE PDU (PS3.8 9.3.2); ``length`` lies."""
    return pack(">BxH", kind, min(len(body), 0xFFFF) if length is None else length) + body


def context(number: int, abstract: str, syntaxes: Iterable[str] = (IMPLICIT,)) -> bytes:
    """Write a presentation context item (PS3.8 9.3.2.2)."""
    inner = item(0x30, abstract.encode()) + b"".join(item(0x40, one.encode()) for one in syntaxes)
    return item(0x20, bytes([number & 0xFF, 0, 0, 0]) + inner)


def user_information(*extra: bytes) -> bytes:
    """Write a user information item with a maximum length and whatever else is given."""
    return item(0x50, item(0x51, pack(">I", 16384)) + item(0x52, b"1.2.3.4") + b"".join(extra))


def associate(calling: str, *rest: bytes, called: str = "LEADGLASS", length: int | None = None) -> bytes:
    """Write an A-ASSOCIATE-RQ; without ``rest`` it proposes Verification, storage, C-FIND and C-GET."""
    variable = rest or (
        item(0x10, APPLICATION_CONTEXT.encode()),
        context(1, VERIFICATION),
        context(3, CT, (EXPLICIT, IMPLICIT)),
        context(5, STUDY_FIND),
        context(7, STUDY_GET),
        user_information(item(0x54, pack(">H", len(CT)) + CT.encode() + b"\1\1")),
    )
    head = pack(">HH", 1, 0) + called.ljust(16).encode() + calling.ljust(16).encode() + bytes(32)
    return pdu(0x01, head + b"".join(variable), length)


def pdata(context_id: int, fragment: bytes, *, command: bool, last: bool = True, length: int | None = None) -> bytes:
    """Write a P-DATA-TF with one fragment; ``length`` lies about the fragment's."""
    control = (1 if command else 0) | (2 if last else 0)
    value = pack(">IBB", len(fragment) + 2 if length is None else length, context_id, control) + fragment
    return pdu(0x04, value)


def _field(element: int, value: bytes) -> bytes:
    return pack("<HHI", 0, element, len(value)) + value


def command(field: int, sop_class: str, *, has_data: bool, instance: str = "", message_id: int = 1) -> bytes:
    """Write a request's command set (PS3.7 E.1)."""
    uid = sop_class.encode() + b"\0" * (len(sop_class) % 2)
    body = _field(0x0002, uid) + _field(0x0100, pack("<H", field)) + _field(0x0110, pack("<H", message_id))
    if field != ECHO:
        body += _field(0x0700, pack("<H", 0))
    body += _field(0x0800, pack("<H", 0x0001 if has_data else 0x0101))
    if instance:
        body += _field(0x1000, instance.encode() + b"\0" * (len(instance) % 2))
    return _field(0x0000, pack("<I", len(body))) + body


STORE: Final = 0x0001
GET: Final = 0x0010
FIND: Final = 0x0020
ECHO: Final = 0x0030

STUDY_LEVEL: Final = pack("<HHI", 0x0008, 0x0052, 6) + b"STUDY "
SERIES_LEVEL: Final = pack("<HHI", 0x0008, 0x0052, 6) + b"SERIES"
IMAGE_LEVEL: Final = pack("<HHI", 0x0008, 0x0052, 6) + b"IMAGE "


def study_key(uid: str) -> bytes:
    """Write Study Instance UID in Implicit VR."""
    raw = uid.encode() + b"\0" * (len(uid) % 2)
    return pack("<HHI", 0x0020, 0x000D, len(raw)) + raw


def client_hello() -> bytes:
    """Give the first flight of a TLS handshake."""
    context_ = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context_.check_hostname = False
    context_.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = context_.wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        secured.do_handshake()
    return outgoing.read()


def dial(port: int, source: str, *, seconds: float = 5.0) -> socket.socket:
    """Connect to the loopback from one of its addresses."""
    connection = socket.socket()
    try:
        connection.settimeout(seconds)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        connection.bind((source, 0))
        connection.connect(("127.0.0.1", port))
    except OSError:
        connection.close()
        raise
    return connection


def read_pdu(connection: socket.socket) -> tuple[int, bytes]:
    """Read one whole PDU; type 0 when the peer closed."""
    head = _exactly(connection, 6)
    if len(head) < 6:
        return 0, b""
    return head[0], _exactly(connection, int.from_bytes(head[2:6], "big"))


def _exactly(connection: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        block = connection.recv(count - len(got))
        if not block:
            break
        got += block
    return got
