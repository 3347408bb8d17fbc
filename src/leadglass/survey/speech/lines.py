"""Protocols of lines of text, as FTP and rsync are: lines are read one by one, none longer than a bound."""

from typing import Final

from leadglass.survey.gate import ANSWER, Closed, Line

_LONGEST: Final = 4096


class Lines:
    """Reads lines of a connection.

    Parameters
    ----------
    line : Line
        Open.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._taken = b""

    async def next(self, seconds: float = ANSWER) -> str:
        """Give the next line as text, without its end; raises ``Closed`` when there is none."""
        return (await self.raw(seconds)).decode("utf-8", "replace")

    async def raw(self, seconds: float = ANSWER) -> bytes:
        """Give the next line as it came, without its end; raises ``Closed`` when there is none."""
        while b"\n" not in self._taken:
            if len(self._taken) > _LONGEST:
                raise Closed("The peer sends a line that does not end.")
            await self._more(_LONGEST, seconds)
        line, _, self._taken = self._taken.partition(b"\n")
        return line.rstrip(b"\r")

    async def exactly(self, count: int) -> bytes:
        """Give so many bytes behind the last line; raises ``Closed`` when they do not come."""
        while len(self._taken) < count:
            await self._more(max(_LONGEST, count - len(self._taken)), ANSWER)
        taken, self._taken = self._taken[:count], self._taken[count:]
        return taken

    async def _more(self, most: int, seconds: float) -> None:
        data = await self._line.some(most, seconds)
        if not data:
            raise Closed("The peer closed the connection.")
        self._taken += data
