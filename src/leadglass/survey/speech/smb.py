"""SMB 2 and 3, as the survey speaks it: a session of nobody, shares, the top of one, how files begin, and a goodbye.

Rule 1. What is opened is opened to read and has to be there: nothing is made, locked or
written (MS-SMB2 2.2.13: FILE_OPEN, no oplock). Rule 2. Names are given to who counts them
and forgotten. Rule 3. Who is a guest has no key, so nothing is signed; a server that
wants signatures of everybody says no, and is believed.
"""

import secrets
import struct
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from leadglass.survey.gate import Closed, Line

_NEGOTIATE, _SESSION_SETUP, _LOGOFF, _TREE_CONNECT, _TREE_DISCONNECT = 0, 1, 2, 3, 4
_CREATE, _CLOSE, _READ, _IOCTL, _QUERY_DIRECTORY = 5, 6, 8, 11, 14

_DIALECTS: Final = (0x0202, 0x0210, 0x0300, 0x0302, 0x0311)
_OK: Final = 0
_PENDING: Final = 0x0000_0103
_OVERFLOW: Final = 0x8000_0005
_MORE: Final = 0xC000_0016
_IS_GUEST, _IS_NULL = 1, 2

_READ_DATA, _WRITE_DATA, _APPEND_DATA, _READ_ATTRIBUTES = 0x1, 0x2, 0x4, 0x80
_FOLDER: Final = 0x10
_IS_FOLDER, _IS_NO_FOLDER = 0x1, 0x40
_DIRECTORY_INFORMATION: Final = 1
_PIPE_TRANSCEIVE: Final = 0x0011_C017

_NTLM_FLAGS: Final = 0x0008_8207
"""Unicode, OEM, target wanted, NTLM, always sign, extended session security (MS-NLMP 2.2.2.5)."""
_NTLM_ANONYMOUS: Final = 0x0000_0800
_SPNEGO: Final = bytes.fromhex("06062b0601050502")
_NTLMSSP: Final = bytes.fromhex("300c060a2b06010401823702020a")

_BUFFER: Final = 64 * 1024
_ANSWER: Final = 128 * 1024
_MOST_PENDING: Final = 16
_LONGEST_NAME: Final = 510
"""Bytes of a file's name (MS-FSCC 2.1.5.2): entries that lie upon each other could all claim the whole answer."""
_LONGEST_SHARE: Final = 80
"""Signs of a share's name (MS-SRVS 2.2.4.22 has no more than fit here)."""


class Session(StrEnum):
    """What somebody whom nobody knows gets."""

    GUEST = "guest"
    ACCEPTED = "an unknown user's, as if known"
    NULL = "anonymous"


class Share(NamedTuple):
    """One share, as the server lists it; its name is for asking, not for keeping."""

    name: str
    is_disk: bool


class Tree(NamedTuple):
    """A share that was entered."""

    id: int
    is_writable: bool
    """Whether the server says that files could be put there (MS-SMB2 2.2.10, MaximalAccess)."""


class Entry(NamedTuple):
    """A name at the top of a share."""

    name: str
    is_folder: bool


class Top(NamedTuple):
    """What the top of a share holds."""

    entries: Sequence[Entry]
    is_whole: bool
    """Whether that is all of it."""
    answers: int
    """In how many answers it came."""


class Smb:
    """One connection.

    Parameters
    ----------
    line : Line
        Open.
    in_netbios : bool
        Whether a session of NetBIOS is asked for first, as port 139 wants it (RFC 1002 4.3).
    """

    def __init__(self, line: Line, *, in_netbios: bool = False) -> None:
        self._line = line
        self._in_netbios = in_netbios
        self._number = 0
        self._session = 0
        self._tree = 0

    async def negotiate(self) -> bool:
        """Agree on a version; gives whether there is one, raises ``Closed`` where it is no SMB 2 or 3."""
        if self._in_netbios:
            await self._netbios()
        dialects = struct.pack(f"<{len(_DIALECTS)}H", *_DIALECTS)
        at = -(-(64 + 36 + len(dialects)) // 8) * 8
        salt = secrets.token_bytes(32)
        preauth = struct.pack("<HHIHHH", 1, 6 + len(salt), 0, 1, len(salt), 1) + salt  # SHA-512: 3.1.1 wants one
        body = struct.pack("<HHHHI16sIHH", 36, len(_DIALECTS), 1, 0, 0, secrets.token_bytes(16), at, 1, 0) + dialects
        status, _ = await self._ask(_NEGOTIATE, body.ljust(at - 64, b"\0") + preauth, "SMB2 NEGOTIATE")
        return status == _OK

    async def sign_in(self, *, anonymous: bool = False) -> Session | None:
        """Ask for a session as a random user with a random answer, or as nobody; None where it is refused."""
        first = b"NTLMSSP\0" + struct.pack("<II", 1, _NTLM_FLAGS) + bytes(16)
        token = _der(0x60, _SPNEGO + _der(0xA0, _der(0x30, _der(0xA0, _NTLMSSP) + _der(0xA2, _der(4, first)))))
        status, _ = await self._ask(_SESSION_SETUP, _setup(token), "SMB2 SESSION_SETUP, 1 of 2")
        if status != _MORE:
            return None
        token = _der(0xA1, _der(0x30, _der(0xA2, _der(4, _authenticate(anonymous=anonymous)))))
        who = "nobody" if anonymous else "a random user"
        status, body = await self._ask(_SESSION_SETUP, _setup(token), f"SMB2 SESSION_SETUP as {who}, 2 of 2")
        if status != _OK:
            self._session = 0
            return None
        self._line.farewell = self.part
        flags = int.from_bytes(body[2:4], "little")
        if anonymous or flags & _IS_NULL:
            return Session.NULL
        return Session.GUEST if flags & _IS_GUEST else Session.ACCEPTED

    async def shares(self) -> list[Share] | None:
        """Ask the server service for its shares (MS-SRVS 3.1.4.8); None where they are not told."""
        tree = await self.enter("IPC$")
        if tree is None:
            return None
        pipe = await self._create(tree.id, "srvsvc", _READ_DATA | _WRITE_DATA, 0, "open the pipe of the server service")
        if pipe is None:
            return None
        await self._call(tree.id, pipe, _bind(), "bind to the server service")
        stub = await self._call(tree.id, pipe, _share_enum(), "NetrShareEnum")
        await self._close(tree.id, pipe)
        await self.leave(tree)
        return None if stub is None else read_shares(stub)

    async def enter(self, share: str) -> Tree | None:
        """Enter a share; None where it is refused."""
        path = f"\\\\{self._line.address}\\{share}".encode("utf-16-le", "surrogatepass")
        act = "SMB2 TREE_CONNECT to IPC$" if share == "IPC$" else "SMB2 TREE_CONNECT to a share"
        status, body = await self._ask(_TREE_CONNECT, struct.pack("<HHHH", 9, 0, 72, len(path)) + path, act)
        if status != _OK:
            return None
        access = int.from_bytes(body[12:16], "little")
        return Tree(self._tree, bool(access & (_WRITE_DATA | _APPEND_DATA)))

    async def top(self, tree: Tree, most: int) -> Top | None:
        """List the top of a share, in at most so many answers of 64 KB; None where it is not listed."""
        handle = await self._create(tree.id, "", _READ_DATA | _READ_ATTRIBUTES, _IS_FOLDER, "open the top of a share")
        if handle is None:
            return None
        found: list[Entry] = []
        is_whole, answers = False, 0
        while answers < most and not is_whole:
            body = struct.pack("<HBBI16sHHI", 33, _DIRECTORY_INFORMATION, 0, 0, handle, 96, 2, _BUFFER) + b"*\0"
            status, body = await self._ask(_QUERY_DIRECTORY, body, "SMB2 QUERY_DIRECTORY of the top", tree.id)
            if status != _OK:
                if not answers:
                    return None
                is_whole = True
                continue
            answers += 1
            at, length = struct.unpack_from("<HI", body.ljust(8, b"\0"), 2)
            found += read_entries(_part(body, at, length))
        await self._close(tree.id, handle)
        return Top([each for each in found if each.name not in {".", ".."}], is_whole, answers)

    async def beginning(self, tree: Tree, name: str, count: int) -> bytes | None:
        """Read how a file at the top begins; None where it is refused."""
        handle = await self._create(tree.id, name, _READ_DATA, _IS_NO_FOLDER, "open a file to read")
        if handle is None:
            return None
        body = struct.pack("<HBBIQ16sIIIHHB", 49, 80, 0, count, 0, handle, 0, 0, 0, 0, 0, 0)
        status, body = await self._ask(_READ, body, f"SMB2 READ of the first {count} bytes of a file", tree.id)
        await self._close(tree.id, handle)
        if status != _OK:
            return None
        at, length = struct.unpack_from("<BxI", body.ljust(8, b"\0"), 2)
        return _part(body, at, min(length, count))

    async def leave(self, tree: Tree) -> None:
        """Leave a share."""
        await self._ask(_TREE_DISCONNECT, struct.pack("<HH", 4, 0), "SMB2 TREE_DISCONNECT", tree.id)

    async def part(self) -> None:
        """Log off."""
        self._line.farewell = None
        if self._session:
            await self._send(_LOGOFF, struct.pack("<HH", 4, 0), "SMB2 LOGOFF", 0)
            self._session = 0

    # --- below ---------------------------------------------------------------------

    async def _netbios(self) -> None:
        names = b"".join(
            b"\x20" + bytes(half + 0x41 for each in name.ljust(16) for half in divmod(each, 16)) + b"\0"
            for name in (b"*SMBSERVER", b"LEADGLASS")
        )
        await self._line.send(struct.pack(">BxH", 0x81, len(names)) + names, "NetBIOS SESSION REQUEST")
        if await self._line.exactly(4) != b"\x82\0\0\0":
            raise Closed("NetBIOS refuses a session.")

    async def _create(self, tree: int, name: str, access: int, options: int, act: str) -> bytes | None:
        """Open what is there; gives its handle, None where it is refused."""
        raw = name.encode("utf-16-le", "surrogatepass")
        body = struct.pack(
            "<HBBIQQIIIIIHHII", 57, 0, 0, 2, 0, 0, access, 0, 7, 1, options, 120, len(raw), 0, 0
        ) + (raw or b"\0")  # fmt: skip
        status, body = await self._ask(_CREATE, body, act, tree)
        if status != _OK or len(body) < 80:
            return None
        return body[64:80]

    async def _close(self, tree: int, handle: bytes) -> None:
        await self._ask(_CLOSE, struct.pack("<HHI16s", 24, 0, 0, handle), "SMB2 CLOSE", tree)

    async def _call(self, tree: int, pipe: bytes, message: bytes, act: str) -> bytes | None:
        """Call a procedure over a pipe (MS-RPCE over SMB); gives its results of all fragments."""
        body = struct.pack(
            "<HHI16sIIIIIIII", 57, 0, _PIPE_TRANSCEIVE, pipe, 120, len(message), 0, 0, 0, _BUFFER, 1, 0
        ) + message  # fmt: skip
        status, body = await self._ask(_IOCTL, body, act, tree)
        if status not in {_OK, _OVERFLOW}:
            return None
        at, length = struct.unpack_from("<II", body.ljust(40, b"\0"), 32)
        taken = _part(body, at, length)
        results = bytearray()
        while True:
            while len(taken) < 24 or len(taken) < int.from_bytes(taken[8:10], "little"):
                if len(taken) + len(results) > _ANSWER:
                    raise Closed("The peer sends more than was asked for.")
                taken += await self._more(tree, pipe)
            size = int.from_bytes(taken[8:10], "little")
            if taken[2] not in {2, 12} or size < 24:  # response, bind_ack
                return None
            results += taken[24:size]
            if taken[3] & 2:  # the last fragment
                return bytes(results)
            taken = taken[size:]

    async def _more(self, tree: int, pipe: bytes) -> bytes:
        body = struct.pack("<HBBIQ16sIIIHHB", 49, 80, 0, _BUFFER, 0, pipe, 0, 0, 0, 0, 0, 0)
        status, body = await self._ask(_READ, body, "read the rest of the list", tree)
        at, length = struct.unpack_from("<BxI", body.ljust(8, b"\0"), 2)
        data = _part(body, at, length)
        if status not in {_OK, _OVERFLOW} or not data:
            raise Closed("The peer's answer does not end.")
        return data

    async def _send(self, command: int, body: bytes, act: str, tree: int) -> None:
        head = struct.pack(
            "<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, 1 if self._number else 0, 0, command, 1, 0, 0, self._number, 0, tree,
            self._session, bytes(16),
        )  # fmt: skip
        self._number += 1
        await self._line.send(struct.pack(">I", 64 + len(body)) + head + body, act)

    async def _ask(self, command: int, body: bytes, act: str, tree: int = 0) -> tuple[int, bytes]:
        """Send a request; gives status and body of its answer, and notes its session and tree."""
        await self._send(command, body, act, tree)
        for _ in range(_MOST_PENDING):
            length = int.from_bytes(await self._line.exactly(4), "big")
            if not 64 <= length <= _ANSWER:
                raise Closed("What answers is not SMB.")
            answer = await self._line.exactly(length)
            if answer[:4] != b"\xfeSMB" or int.from_bytes(answer[12:14], "little") != command:
                raise Closed("What answers is not SMB 2 or 3.")
            status = int.from_bytes(answer[8:12], "little")
            if status == _PENDING:
                continue
            is_async = answer[16] & 2  # then there is no tree in its header
            self._tree = 0 if is_async else int.from_bytes(answer[36:40], "little")
            if command == _SESSION_SETUP:
                self._session = int.from_bytes(answer[40:48], "little")
            return status, answer[64:]
        raise Closed("The peer's answer does not come.")


def _part(body: bytes, at: int, length: int) -> bytes:
    """Give what an answer says to lie at so many bytes from its beginning; empty where that is not in it."""
    return body[at - 64 : at - 64 + length] if at >= 64 else b""


def _setup(token: bytes) -> bytes:
    return struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, 64 + 24, len(token), 0) + token


def _authenticate(*, anonymous: bool) -> bytes:
    """Give an AUTHENTICATE_MESSAGE (MS-NLMP 2.2.1.3) of a random user with a random answer, or of nobody."""
    user = "" if anonymous else f"leadglass-{secrets.token_hex(6)}"
    answers = (b"\0", b"") if anonymous else (bytes(24), secrets.token_bytes(24))
    fields, payload, at = b"", b"", 64
    for value in (*answers, b"", user.encode("utf-16-le"), b"", b""):
        fields += struct.pack("<HHI", len(value), len(value), at + len(payload))
        payload += value
    flags = _NTLM_FLAGS | (_NTLM_ANONYMOUS if anonymous else 0)
    return b"NTLMSSP\0" + struct.pack("<I", 3) + fields + struct.pack("<I", flags) + payload


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes((size,)) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes((tag,)) + length + content


def _message(kind: int, body: bytes) -> bytes:
    return struct.pack("<BBBBIHHI", 5, 0, kind, 3, 0x10, 16 + len(body), 0, 1) + body


def _bind() -> bytes:
    server_service = bytes.fromhex("c84f324b7016d30112785a47bf6ee188") + struct.pack("<HH", 3, 0)
    ndr = bytes.fromhex("045d888aeb1cc9119fe808002b104860") + struct.pack("<I", 2)
    return _message(11, struct.pack("<HHIBxxxHBx", 4280, 4280, 0, 1, 0, 1) + server_service + ndr)


def _share_enum() -> bytes:
    """Ask for names and kinds: level 1, no server name, no handle to go on from (MS-SRVS 2.2.4.23)."""
    stub = struct.pack("<IIIIIIII", 0, 1, 1, 0x20000, 0, 0, _BUFFER, 0)
    return _message(0, struct.pack("<IHH", len(stub), 0, 15) + stub)


_MOST_SHARES: Final = 256


def read_shares(stub: bytes) -> list[Share]:
    """Read SHARE_INFO_1 entries: pointers and kinds first, then what they point at (MS-SRVS 2.2.4.23)."""
    try:
        count, buffer = struct.unpack_from("<II", stub, 12)
        if not buffer:
            return []
        kinds = [struct.unpack_from("<III", stub, 24 + 12 * each) for each in range(min(count, _MOST_SHARES))]
        found: list[Share] = []
        at = 24 + 12 * count
        for name, kind, remark in kinds:
            text = ""
            if name:
                text, at = _text(stub, at)
            if remark:
                _, at = _text(stub, at)
            if 0 < len(text) <= _LONGEST_SHARE:
                found.append(Share(text, is_disk=kind & 0x3 == 0 and text.upper() != "IPC$"))
    except struct.error:
        raise Closed("The peer's list of shares ends too early.") from None
    return found


def _text(stub: bytes, at: int) -> tuple[str, int]:
    _, _, length = struct.unpack_from("<III", stub, at)
    end = at + 12 + 2 * length
    if end > len(stub):
        raise Closed("The peer's list of shares ends too early.")
    return stub[at + 12 : end].decode("utf-16-le", "replace").rstrip("\0"), -(-end // 4) * 4


def read_entries(data: bytes) -> Sequence[Entry]:
    """Read FILE_DIRECTORY_INFORMATION entries (MS-FSCC 2.4.10)."""
    found: list[Entry] = []
    at = 0
    while at + 64 <= len(data):
        further = int.from_bytes(data[at : at + 4], "little")
        attributes, length = struct.unpack_from("<II", data, at + 56)
        raw = data[at + 64 : at + 64 + min(length, _LONGEST_NAME)]
        raw = raw[: len(raw) & ~1]
        found.append(Entry(raw.decode("utf-16-le", "surrogatepass"), bool(attributes & _FOLDER)))
        if further < 64:
            break
        at += further
    return found
