"""What the requests that store share: how much each may hold in memory, and how blocks are held.

Rule: what is under way is bounded for each request, for each caller, and for all.
"""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from leadglass.errors import Busy

IN_FLIGHT: Final = 2
"""Batches of one request that threads work on while the next is read: one for each of two processors."""
_MOST_HELD: Final = 8 << 20
"""Bytes of one batch at most."""
_LEAST_HELD: Final = 1 << 20
"""Bytes of one batch where many requests share what there is."""
_HELD_IN_ALL: Final = 192 << 20
"""Bytes of the batches of all requests together, about."""
MOST_REQUESTS: Final = 64
"""Requests that store at one time; with ``_LEAST_HELD`` each they come to ``_HELD_IN_ALL``."""
MOST_OF_ONE: Final = 32
"""Of them, those of one caller: one that opens many and sends slowly must not shut out the others."""
_TEXT_IN_ALL: Final = 128 << 20
"""Bytes of metadata that wait to be read, of all requests together."""
_SMALL: Final = 4 << 10
"""Blocks shorter than this are put together: each costs an object, and a client may send single bytes."""
_JOINED: Final = 64 << 10
"""Bytes up to which they are."""


class Share:
    """How much each of the running requests may hold in memory."""

    def __init__(self) -> None:
        self._requests: Counter[str] = Counter()
        self._text = 0

    @contextmanager
    def request(self, caller: str) -> Generator[None]:
        """Count a request of a caller inside the block; raises ``Busy`` when there are too many."""
        if self._requests.total() >= MOST_REQUESTS or self._requests[caller] >= MOST_OF_ONE:
            raise Busy("Too many requests store instances at this time. Send it again later.")
        self._requests[caller] += 1
        try:
            yield
        finally:
            self._requests[caller] -= 1
            self._requests += Counter()  # drops who has none

    @property
    def held(self) -> int:
        """Bytes that one batch of a request may hold now."""
        share = _HELD_IN_ALL // ((IN_FLIGHT + 1) * max(1, self._requests.total()))
        return max(_LEAST_HELD, min(_MOST_HELD, share))

    def keep_text(self, octets: int) -> None:
        """Count bytes of metadata that are kept, or with a minus let go; raises ``Busy`` when there are too many."""
        if octets > 0 and self._text + octets > _TEXT_IN_ALL:
            raise Busy("Too much metadata waits to be read at this time. Send it again later.")
        self._text += octets


class Gathered:
    """Blocks that are gathered for a hop to a thread."""

    __slots__ = ("_blocks", "_small", "size")

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._small = bytearray()
        self.size = 0
        """Bytes of them."""

    def add(self, data: bytes) -> None:
        """Take a block."""
        self.size += len(data)
        if len(data) < _SMALL:
            self._small += data
            if len(self._small) < _JOINED:
                return
            data = b""
        self._settle()
        if data:
            self._blocks.append(data)

    def _settle(self) -> None:
        if self._small:
            self._blocks.append(bytes(self._small))
            self._small.clear()

    def take(self) -> list[bytes]:
        """Give the blocks, and have none any more."""
        self._settle()
        blocks, self._blocks, self.size = self._blocks, [], 0
        return blocks
