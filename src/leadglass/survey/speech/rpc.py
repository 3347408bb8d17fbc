"""ONC RPC over TCP, as the survey speaks it: a question without credentials, and its bounded answer (RFC 5531).

Rule: what is read of an answer is counted and forgotten.
"""

import secrets
from typing import Final

from leadglass.survey.gate import Closed, Line

_MOST: Final = 256 * 1024
_FRAGMENTS: Final = 64


async def call(line: Line, program: int, version: int, procedure: int, act: str, arguments: bytes = b"") -> bytes:
    """Call a procedure with AUTH_NONE; gives its results, raises ``Closed`` where it is not done."""
    xid = secrets.randbits(32)
    words = (xid, 0, 2, program, version, procedure, 0, 0, 0, 0)
    message = b"".join(word.to_bytes(4, "big") for word in words) + arguments
    await line.send((0x8000_0000 | len(message)).to_bytes(4, "big") + message, act)
    reply = bytearray()
    for _ in range(_FRAGMENTS):
        head = int.from_bytes(await line.exactly(4), "big")
        length = head & 0x7FFF_FFFF
        if length + len(reply) > _MOST:
            raise Closed("The peer sends more than was asked for.")
        reply += await line.exactly(length)
        if head & 0x8000_0000:
            break
    reader = Reader(bytes(reply))
    if reader.word() != xid or reader.word() != 1 or reader.word() != 0:
        raise Closed("What answers is not RPC, or refuses.")
    reader.word()
    reader.opaque()
    if reader.word() != 0:
        raise Closed("The program is not there.")
    return reader.rest


class Reader:
    """Reads XDR (RFC 4506); raises ``Closed`` where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def word(self) -> int:
        """Give an unsigned integer."""
        return int.from_bytes(self._take(4), "big")

    def opaque(self) -> bytes:
        """Give bytes of variable length."""
        length = self.word()
        data = self._take(length)
        self._take(-length % 4)
        return data

    def _take(self, count: int) -> bytes:
        if count > len(self.rest):
            raise Closed("The peer's answer ends too early.")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken
