"""FTP, as the survey speaks it: signing in as anonymous, names, how files begin, and a goodbye (RFC 959, RFC 2428).

Rule 1. A data connection goes to the host of the control connection, whatever
address the peer names. Rule 2. Nothing is stored, deleted or renamed.
"""

import re
from typing import Final

from leadglass.survey.check import Visit
from leadglass.survey.gate import Closed, Line, Unreachable
from leadglass.survey.speech.lines import Lines

_EXTENDED: Final = re.compile(r"\((.)\1\1(\d{1,5})\1\)")
_PASSIVE: Final = re.compile(r"(?:\d{1,3},){4}(\d{1,3}),(\d{1,3})")
_MOST_LINES: Final = 100
_MOST_NAMES: Final = 256 * 1024


class Ftp:
    """A control connection.

    Parameters
    ----------
    visit : Visit
        The check at its endpoint.
    line : Line
        Open.
    """

    def __init__(self, visit: Visit, line: Line) -> None:
        self._visit = visit
        self._line = line
        self._lines = Lines(line)

    async def greeting(self) -> int:
        """Give the code of the greeting."""
        code, _ = await self._reply()
        if code == 220:
            self._line.farewell = self.part
        return code

    async def sign_in(self) -> bool:
        """Sign in as anonymous, as RFC 1635 has it; gives whether that was taken."""
        code = await self.say("USER anonymous")
        if code == 331:
            code = await self.say("PASS leadglass-survey@", "PASS for anonymous")
        return code in {230, 202}

    async def say(self, command: str, act: str = "") -> int:
        """Send a command; gives the code of its answer."""
        await self._line.send(command.encode("utf-8", "surrogateescape") + b"\r\n", act or command)
        code, _ = await self._reply()
        return code

    async def names(self) -> list[str] | None:
        """Give the names in the top folder; None where they are not given."""
        data = await self.take("NLST", _MOST_NAMES)
        if data is None:
            return None
        return [line for line in data.decode("utf-8", "surrogateescape").splitlines() if line.strip()]

    async def take(self, command: str, most: int, act: str = "") -> bytes | None:
        """Give what a command sends over a data connection, up to so many bytes; None where it is refused."""
        port = await self._passive()
        if port is None:
            return None
        taken = bytearray()
        try:
            async with self._visit.gate.beside(self._line, port) as data:
                await self._line.send(
                    command.encode("utf-8", "surrogateescape") + b"\r\n", act or command.partition(" ")[0]
                )
                code, _ = await self._reply()
                if code not in {125, 150}:
                    return b"" if code in {226, 450, 550} and command == "NLST" else None
                while len(taken) < most and (got := await data.some(most - len(taken))):
                    taken += got
        except Unreachable:
            return None
        try:
            await self._reply()  # 226, or 426 where we closed before its end
        except Closed:
            if not taken:
                raise
        return bytes(taken)

    async def part(self) -> None:
        """Say goodbye."""
        self._line.farewell = None
        await self._line.send(b"QUIT\r\n", "QUIT")

    async def _passive(self) -> int | None:
        await self._line.send(b"EPSV\r\n", "EPSV")
        code, text = await self._reply()
        if code == 229 and (found := _EXTENDED.search(text)):
            port = int(found[2])
        else:
            await self._line.send(b"PASV\r\n", "PASV")
            code, text = await self._reply()
            found = _PASSIVE.search(text)
            if code != 227 or found is None:
                return None
            port = int(found[1]) << 8 | int(found[2])
        return port if 1024 <= port <= 65_535 else None

    async def _reply(self) -> tuple[int, str]:
        first = await self._lines.next()
        code, text = first[:3], first
        if not (code.isascii() and code.isdigit()):
            raise Closed("What answers is not FTP.")
        for _ in range(_MOST_LINES):
            if text.startswith(code) and text[3:4] != "-":
                return int(code), text
            text = await self._lines.next()
        raise Closed("The peer's answer does not end.")
