"""rsync's daemon, as the survey speaks it: modules, the names at the top of one, how files begin.

Rule 1. It speaks version 27, which every daemon of the last twenty years takes and in
which a list is plain. Rule 2. Nothing is sent that a daemon would write. Rule 3. Names
are given to who counts them and forgotten.
"""

import stat
from typing import Final, NamedTuple

from leadglass.survey.gate import Closed, Line
from leadglass.survey.speech.lines import Lines

_HELLO: Final = b"@RSYNCD: 31.0 sha512 sha256 sha1 md5 md4\n"
_OLD_HELLO: Final = b"@RSYNCD: 27\n"
_ARGUMENTS: Final = ("--server", "--sender", "-d", ".")
_MOST_MODULES: Final = 256
_LONGEST: Final = 4096
_MOST_NAMES: Final = 10_000
_MOST: Final = 512 * 1024
"""Bytes of a list."""

_SAME_MODE, _SAME_NAME, _LONG_NAME, _SAME_TIME = 0x02, 0x20, 0x40, 0x80
_DATA: Final = 7


class Entry(NamedTuple):
    """A name at the top of a module."""

    name: bytes
    is_file: bool


class Rsync:
    """One connection.

    Parameters
    ----------
    line : Line
        Open.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._lines = Lines(line)
        self._data = bytearray()
        self._taken = 0

    async def modules(self) -> list[str]:
        """Ask for the modules; empty where there are none, or where it is no rsync."""
        if not (await self._text()).startswith("@RSYNCD: "):
            return []
        await self._line.send(_HELLO + b"#list\n", "ask for the list of modules")
        found: list[str] = []
        for _ in range(4 * _MOST_MODULES):
            said = await self._text()
            if said.startswith(("@RSYNCD: EXIT", "@ERROR")):
                break
            name, tab, _ = said.partition("\t")  # what has no tab is the message of the day
            if tab and len(found) < _MOST_MODULES:
                found.append(name.rstrip())
        return found

    async def enter(self, module: str) -> bool:
        """Enter a module; gives whether that needs no password."""
        await self._text()
        await self._line.send(_OLD_HELLO + _bytes(module) + b"\n", "ask for a module")
        for _ in range(_MOST_MODULES):
            said = await self._text()
            if said.startswith("@RSYNCD: OK"):
                return True
            if said.startswith(("@RSYNCD: ", "@ERROR")):
                return False
        return False

    async def top(self, module: str) -> tuple[list[Entry], bool]:
        """List the top of the module that was entered; gives it in the daemon's order, and whether that is all."""
        arguments = [each.encode() for each in _ARGUMENTS] + [_bytes(module) + b"/"]
        asked = b"".join(each + b"\n" for each in arguments) + b"\n" + bytes(4)  # and no filter
        await self._line.send(asked, "list the top of a module")
        await self._lines.exactly(4)  # a seed, before anything is in frames
        found: list[Entry] = []
        before, mode = b"", 0
        while flags := (await self._read(1))[0]:
            same = (await self._read(1))[0] if flags & _SAME_NAME else 0
            length = int.from_bytes(await self._read(4 if flags & _LONG_NAME else 1), "little")
            if length > _LONGEST:
                raise Closed("The peer's list has a name that does not end.")
            name = before[:same] + await self._read(length)
            if await self._read(4) == b"\xff" * 4:  # a size beyond 31 bits
                await self._read(8)
            if not flags & _SAME_TIME:
                await self._read(4)
            if not flags & _SAME_MODE:
                mode = int.from_bytes(await self._read(4), "little")
            before = name
            found.append(Entry(name, stat.S_ISREG(mode)))
            if len(found) >= _MOST_NAMES or self._taken > _MOST:
                return found, False
        await self._read(4)  # whether there were errors
        return sorted(found), True

    async def beginning(self, place: int, count: int) -> bytes | None:
        """Read how the file at a place of the whole list begins; None where the daemon does not give it.

        The connection is of no use after it: the rest of the file is on its way.
        """
        asked = place.to_bytes(4, "little") + bytes(16)
        await self._line.send(asked, f"ask for a file, to read its first {count} bytes")
        if int.from_bytes(await self._read(4), "little") != place:
            return None
        await self._read(16)
        begin = bytearray()
        while len(begin) < count and (size := int.from_bytes(await self._read(4), "little", signed=True)) > 0:
            begin += await self._read(min(size, count - len(begin)))
        return bytes(begin)

    # --- below ---------------------------------------------------------------------

    async def _text(self) -> str:
        return (await self._lines.raw()).decode("utf-8", "surrogateescape")

    async def _read(self, count: int) -> bytes:
        """Read of the data that is in frames; what a daemon says beside is left out."""
        while len(self._data) < count:
            head = int.from_bytes(await self._lines.exactly(4), "little")
            payload = await self._lines.exactly(min(head & 0xFF_FFFF, _MOST))
            self._taken += len(payload)
            if head >> 24 == _DATA:
                self._data += payload
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken


def _bytes(module: str) -> bytes:
    return module.encode("utf-8", "surrogateescape")
