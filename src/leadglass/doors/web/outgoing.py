"""What goes out together: the header of an answer waits for its body, one turn of the loop at most.

Rule: one small write costs a system call, a TLS record and a packet; two cost both.
"""

import asyncio
from typing import Any, Final

_SMALL: Final = 4 * 1024
"""bytes that are worth holding: a header"""

_TOGETHER: Final = 64 * 1024
"""bytes up to which what was held and what follows are copied together"""


class Outgoing(asyncio.Transport):
    """A transport that gathers small writes of one turn.

    Parameters
    ----------
    inner : asyncio.Transport
        Where they go.
    loop : asyncio.AbstractEventLoop
        Whose turns count.
    """

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._inner = inner
        self._loop = loop
        self._held = b""
        self._is_due = False

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Send, or hold for what follows in this turn."""
        if self._held:
            held, self._held = self._held, b""
            if len(held) + len(data) <= _TOGETHER:
                self._inner.write(held + data)
            else:
                with memoryview(data) as whole:
                    first = _TOGETHER - len(held)
                    self._inner.write(b"".join((held, whole[:first])))
                    self._inner.write(whole[first:])
        elif len(data) <= _SMALL:
            self._held = bytes(data)
            if not self._is_due:
                self._is_due = True
                self._loop.call_soon(self._turn)
        else:
            self._inner.write(data)

    def _turn(self) -> None:
        self._is_due = False
        self._flush()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._inner.write(held)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give what the inner one knows."""
        return self._inner.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Stop reading."""
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        self._inner.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say when the writer has to wait."""
        self._inner.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Bytes that wait for the peer."""
        return self._inner.get_write_buffer_size() + len(self._held)

    def is_closing(self) -> bool:
        """Tell whether the connection is going."""
        return self._inner.is_closing()

    def write_eof(self) -> None:
        """Send what is held, and the end."""
        self._flush()
        self._inner.write_eof()

    def close(self) -> None:
        """Send what is held, and close."""
        self._flush()
        self._inner.close()

    def abort(self) -> None:
        """Drop the connection."""
        self._held = b""
        self._inner.abort()
