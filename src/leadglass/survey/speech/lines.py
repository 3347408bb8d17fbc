"""Protocols of lines of text, as FTP and rsync are: read one by one, none longer than a bound."""

from typing import Final

from leadglass.survey.gate import Closed, Line

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

    async def next(self, seconds: float = 10.0) -> str:
        """Give the next line without its end; raises ``Closed`` when there is none."""
        while b"\n" not in self._taken:
            if len(self._taken) > _LONGEST:
                raise Closed("The peer sends a line that does not end.")
            data = await self._line.some(_LONGEST, seconds)
            if not data:
                raise Closed("The peer closed the connection.")
            self._taken += data
        line, _, self._taken = self._taken.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "replace")
