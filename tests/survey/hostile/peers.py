"""Peers of every protocol the survey speaks, whose right answers a test may spoil at any place.

Each text that a peer may choose is the canary: none of it may be kept.
"""

import ssl
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from leadglass.survey.speech import dicom
from leadglass.wire import command_set
from leadglass.wire.messages import CEchoRsp, CFindRsp
from leadglass.wire.pdu import PDV, AssociateAccept, PData, ReleaseRP, encode

CANARY: Final = "KANARIHOSTILE"
_MARK: Final = CANARY.encode()

Answer = Callable[[bytes], bytes]
"""Gives what is answered to a piece of what was sent; to nothing, first of all, how one greets."""

Peer = Callable[[int, int], Answer]
"""Gives how a connection is answered, by its number and the port of all."""


def _dicom(_number: int, _port: int) -> Answer:
    def answer(said: bytes) -> bytes:
        match said[:1]:
            case b"\x01":
                return encode(
                    AssociateAccept(
                        called_ae_title="ANY",
                        calling_ae_title=CANARY,
                        contexts=dict.fromkeys((*range(1, 17, 2), 127), dicom.IMPLICIT_VR_LITTLE_ENDIAN),
                        implementation_class_uid="1.2.276.0.7230010.3.0.3.6.4",
                        implementation_version_name=CANARY,
                    )
                )
            case b"\x04":
                if dicom.VERIFICATION.encode() + b"\0" in said:
                    echo = CEchoRsp(message_id_being_responded_to=1, status=0)
                    return _message(command_set.encode(echo, has_data_set=False))
                found = CFindRsp(message_id_being_responded_to=1, status=0, error_comment=CANARY)
                records = _record() * 3 if b"\x20\0\x08\x12" in said else b""
                return records + _message(command_set.encode(found, has_data_set=False))
            case b"\x05":
                return encode(ReleaseRP())
            case _:
                return b""

    return answer


def _record() -> bytes:
    """Give one answer to who asks how many images there are: with a name, for which nobody asked."""
    pending = CFindRsp(message_id_being_responded_to=1, status=0xFF00)
    name, images = b"\x10\0\x10\0" + len(_MARK).to_bytes(4, "little") + _MARK, b"\x20\0\x08\x12\x04\0\0\x003400"
    return _message(command_set.encode(pending, has_data_set=True)) + encode(
        PData((PDV(1, is_command=False, is_last=True, fragment=name + images),))
    )


def _message(command: bytes) -> bytes:
    return encode(PData((PDV(1, is_command=True, is_last=True, fragment=command),)))


_PAGES: Final[Mapping[bytes, tuple[bytes, bytes]]] = {
    b"/": (
        b"text/html",
        b"<title>Index of /</title><a href=/webman/index.cgi>x</a><a href=IM0001>x</a><a href=%s.dcm>x</a>"
        b"<form method=post action=/in>"
        b"<input name=%s value=%s><input type=password name=p></form><a href=/logout>x</a>" % (_MARK, _MARK, _MARK),
    ),
    b"/system": (
        b"application/json",
        b'{"ApiVersion":1,"DatabaseVersion":6,"DicomPort":4242,"Name":"%s","Version":"1.12.%s"}' % (_MARK, _MARK),
    ),
    b"/statistics": (b"application/json", b'{"CountStudies":12,"CountInstances":3400,"%s":1}' % _MARK),
    b"/dicom-web/studies": (b"application/dicom+json", b'[{"00100010":{"vr":"PN","Value":["%s"]}}]' % _MARK),
    b"/dicom/": (
        b"application/xml",
        b'<?xml version="1.0"?><ListBucketResult><Name>%s</Name><Contents><Key>%s.dcm</Key></Contents>'
        b"</ListBucketResult>" % (_MARK, _MARK),
    ),
}
_DAV: Final = b'<?xml version="1.0"?><D:multistatus><D:href>/IM0001</D:href><D:href> /%s.dcm </D:href>' % _MARK


def _http(_number: int, _port: int) -> Answer:
    def answer(said: bytes) -> bytes:
        method, _, rest = said.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method == b"PROPFIND":
            return _response(b"207 Multi-Status", b"application/xml", _DAV)
        if method == b"POST":
            return _response(b"302 Found", b"text/plain", b"", b"Location: /inside\r\nSet-Cookie: a=%s\r\n" % _MARK)
        kind, body = _PAGES.get(path, (b"application/dicom", bytes(128) + b"DICM" + _MARK))
        head = b"Allow: GET, POST\r\nServer: %s\r\nWWW-Authenticate: Basic realm=%s\r\n" % (_MARK, _MARK)
        return _response(b"200 OK", kind, body, head) if said else b""

    return answer


def _response(status: bytes, kind: bytes, body: bytes, more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %s\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (status, more, kind, len(body))
    return head + body


def _ftp(number: int, port: int) -> Answer:
    if number:
        return lambda said: b"" if said else b"IM0001\r\n%s.dcm\r\n" % _MARK + bytes(100) + b"DICM"
    says = {
        b"": b"220-%s\r\n220 ready\r\n" % _MARK,
        b"USER": b"331 %s\r\n" % _MARK,
        b"PASS": b"230 in\r\n",
        b"TYPE": b"200 ok\r\n",
        b"EPSV": b"229 here (|||%d|)\r\n" % port,
        b"PASV": b"227 there (192,0,2,1,%d,%d)\r\n" % divmod(port, 256),
        b"NLST": b"150 it comes\r\n226 done\r\n",
        b"RETR": b"150 it comes\r\n226 done\r\n",
        b"QUIT": b"221 bye\r\n",
    }
    return lambda said: says.get(said[:4], b"500 %s\r\n" % _MARK)


def _rsync(number: int, _port: int) -> Answer:
    def answer(said: bytes) -> bytes:
        if not said:
            return b"@RSYNCD: 31.0 md5\n"
        return b"%s\ta module\n@RSYNCD: EXIT\n" % _MARK if not number else b"%s\n@RSYNCD: OK\n" % _MARK

    return answer


_NAMES: Final = b"".join(
    struct.pack("<II40xIII", further, 0, 0, 0x20, 2 * len(name)) + name.encode("utf-16-le").ljust(40, b"\0")
    for further, name in ((104, f"{CANARY}.dcm"[:20]), (0, "IM0001"))
)  # fmt: skip


def _smb(_number: int, _port: int) -> Answer:
    listed = False

    def answer(said: bytes) -> bytes:
        nonlocal listed
        if len(said) < 68:
            return b""
        command, status = int.from_bytes(said[16:18], "little"), 0
        match command:
            case 1:
                status = 0 if b"NTLMSSP\0\3" in said else 0xC000_0016
                body = struct.pack("<HHHH", 9, 1, 72, 0)
            case 3:
                body = struct.pack("<HBBIII", 16, 1, 0, 0, 0, 0x1F01FF)
            case 5:
                body = bytes(64) + b"handlehandlehand" + bytes(8)
            case 8:
                body = struct.pack("<HBxIII", 17, 80, 132, 0, 0) + bytes(128) + b"DICM"
            case 11:
                body = _pipe(b"" if b"\x05\0\x0b" in said else _shares())
            case 14:
                body = struct.pack("<HHI", 9, 72, len(_NAMES)) + _NAMES
                status, listed = 0x8000_0006 if listed else 0, True
            case _:
                body = struct.pack("<HH", 4, 0)
        head = struct.pack("<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, 0, status, command, 1, 1, 0, 0, 0, 5, 7, bytes(16))
        return struct.pack(">I", 64 + len(body)) + head + body

    return answer


def _shares() -> bytes:
    def text(value: str) -> bytes:
        raw = (value + "\0").encode("utf-16-le")
        return struct.pack("<III", len(value) + 1, 0, len(value) + 1) + raw + bytes(-len(raw) % 4)

    names = text(CANARY) + text(CANARY)
    return struct.pack("<IIIIIIIII", 1, 1, 0, 1, 1, 1, 1, 0, 1) + names


def _pipe(stub: bytes) -> bytes:
    kind = 2 if stub else 12
    message = struct.pack("<BBBBIHHI", 5, 0, kind, 3, 0x10, 24 + len(stub), 0, 1) + bytes(8) + stub
    return struct.pack("<HHI16sIIIIII", 49, 0, 0x11C017, bytes(16), 112, 0, 112, len(message), 0, 0) + message


def _words(*given: int) -> bytes:
    return b"".join(each.to_bytes(4, "big") for each in given)


def _opaque(data: bytes) -> bytes:
    return _words(len(data)) + data + bytes(-len(data) % 4)


def _nfs(_number: int, port: int) -> Answer:
    def answer(said: bytes) -> bytes:
        if len(said) < 44:
            return b""
        program, procedure = int.from_bytes(said[16:20], "big"), int.from_bytes(said[24:28], "big")
        if program == 100_000:
            results = _words(port)
        elif program == 100_005:
            results = _words(1) + _opaque(_MARK) + _words(1) + _opaque(b"*") + _words(0, 0)
        else:
            results = _compound(said) if procedure == 1 else b""
        message = said[4:8] + _words(1, 0, 0, 0, 0) + results
        return (0x8000_0000 | len(message)).to_bytes(4, "big") + message

    return answer


def _compound(said: bytes) -> bytes:
    steps = 1
    for operation in (26, 25, 9):  # the last step is what is asked for: READDIR, READ, GETATTR
        steps = max(steps, said.count(_words(operation)) and 2 + said.count(_words(15)))
    begun = b"".join(_words(24 if not step else 15, 0) for step in range(steps - 1))
    if said.endswith(_words(1, 1 << 8)):
        last = _words(9, 0, 1, 1 << 8) + _opaque(bytes(16))
    elif said.endswith(_words(132)):
        last = _words(25, 0, 1) + _opaque(bytes(128) + b"DICM")
    else:
        entry = _words(1, 0, 1) + _opaque(b"%s.dcm" % _MARK) + _words(1, 258) + _opaque(_words(1) + bytes(16))
        last = _words(26, 0) + bytes(8) + entry + _words(0, 1)
    return _words(0) + _opaque(b"") + _words(steps) + begun + last


def certificate(folder: Path) -> ssl.SSLContext:
    """Give a server's context with a certificate in which the canary stands."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, CANARY)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(CANARY)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / "certificate.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def over_tls(context: ssl.SSLContext, inside: Peer) -> Peer:
    """Give a peer that speaks in TLS; what is spoiled is what goes over the network."""

    def begin(number: int, port: int) -> Answer:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        secured = context.wrap_bio(incoming, outgoing, server_side=True)
        within = inside(number, port)
        is_made = False

        def answer(said: bytes) -> bytes:
            nonlocal is_made
            incoming.write(said)
            try:
                if not is_made:
                    secured.do_handshake()
                    is_made = True
                while inner := secured.read(65_536):
                    secured.write(within(inner))
            except ssl.SSLError:
                pass
            return outgoing.read()

        return answer

    return begin


PEERS: Final[Mapping[str, Peer]] = {
    "dicom": _dicom, "http": _http, "ftp": _ftp, "rsync": _rsync, "smb": _smb, "nfs": _nfs,
}  # fmt: skip
