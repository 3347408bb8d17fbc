"""ONC RPC over TCP, as the survey speaks it: a question of nobody, and its bounded answer (RFC 5531).

Rule: what is read of an answer is counted and forgotten.
"""

import secrets
from typing import Final

from leadglass.survey.gate import Closed, Line

_MOST: Final = 256 * 1024
_FRAGMENTS: Final = 64


NOBODY: Final = 65_534
"""The user and group that stand for nobody."""


def words(*given: int) -> bytes:
    """Give unsigned integers in XDR."""
    return b"".join(each.to_bytes(4, "big") for each in given)


def opaque(data: bytes) -> bytes:
    """Give bytes of variable length in XDR."""
    return words(len(data)) + data + bytes(-len(data) % 4)


async def call(
    line: Line,
    program: int,
    version: int,
    procedure: int,
    act: str,
    arguments: bytes = b"",
    *,
    as_nobody: bool = False,
) -> bytes:
    """Call a procedure; gives its results, raises ``Closed`` where it is not done.

    Without a user (AUTH_NONE), or with AUTH_SYS as the user who stands for nobody.
    """
    xid = secrets.randbits(32)
    who = words(0, 0)
    if as_nobody:
        who = words(1) + opaque(words(0) + opaque(b"leadglass-survey") + words(NOBODY, NOBODY, 0))
    message = words(xid, 0, 2, program, version, procedure) + who + words(0, 0) + arguments
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
    return reader.rest()


class Reader:
    """Reads XDR (RFC 4506); raises ``Closed`` where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def rest(self) -> bytes:
        """Give what was not read yet."""
        return self._data[self._at :]

    def word(self) -> int:
        """Give an unsigned integer."""
        return int.from_bytes(self.take(4), "big")

    def count(self, most: int) -> int:
        """Give how many things follow, of which there are never more than so many."""
        number = self.word()
        if number > most:
            raise Closed("The peer's answer is longer than it can be.")
        return number

    def opaque(self) -> bytes:
        """Give bytes of variable length."""
        length = self.word()
        data = self.take(length)
        self.take(-length % 4)
        return data

    def take(self, count: int) -> bytes:
        """Give so many bytes."""
        begin, self._at = self._at, self._at + count
        if self._at > len(self._data):
            raise Closed("The peer's answer ends too early.")
        return self._data[begin : self._at]
