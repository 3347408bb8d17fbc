"""Kept answers: the metadata of studies and series that were asked for lately, as it was sent.

Rule 1. What is kept is given to nobody before the archive has decided again, and
said that the study is as it was (``Archive.retrieve_again``). Rule 2. Only what
left unmasked is kept. Rule 3. It is kept in memory, bounded, and nowhere else.
"""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final

from leadglass.doors.dicomweb.pumping import Blocks

_MOST: Final = 64 << 20
"""Bytes of all together. The metadata of a CT series of 1,000 takes 0.1 MB deflated, 5 MB as it is."""

_LARGEST: Final = 8 << 20
"""Bytes of one."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """One answer.

    Parameters
    ----------
    since : int
        ``Archive.position`` before it was made.
    tag : str
        Its entity tag.
    body : bytes
        What was sent.
    instances : int
        Of how many instances it is.
    """

    since: int
    tag: str
    body: bytes
    instances: int


class KeptAnswers:
    """Answers by what was asked. Safe for threads.

    Parameters
    ----------
    most : int
        Bytes of all together.
    largest : int
        Bytes of one; a larger one is not kept.
    """

    def __init__(self, most: int = _MOST, largest: int = _LARGEST) -> None:
        self._most = most
        self._largest = largest
        self._lock = Lock()
        self._answers: OrderedDict[str, KeptAnswer] = OrderedDict()
        self._octets = 0

    def find(self, asked: str) -> KeptAnswer | None:
        """Give what was sent for this the last time."""
        with self._lock:
            found = self._answers.get(asked)
            if found is not None:
                self._answers.move_to_end(asked)
            return found

    def keep(self, asked: str, answer: KeptAnswer) -> None:
        """Keep an answer in place of the one before."""
        with self._lock:
            self._drop(asked)
            self._answers[asked] = answer
            self._octets += len(answer.body)
            while self._octets > self._most:
                self._drop(next(iter(self._answers)))

    def forget(self, asked: str) -> None:
        """Forget an answer."""
        with self._lock:
            self._drop(asked)

    def _drop(self, asked: str) -> None:
        dropped = self._answers.pop(asked, None)
        if dropped is not None:
            self._octets -= len(dropped.body)

    def keeping(self, asked: str, since: int, tag: str, instances: int, blocks: Blocks) -> Blocks:
        """Give the blocks as they come, and keep them when all were given."""
        taken: list[bytes] | None = []
        size = 0
        try:
            for block in blocks:
                if isinstance(block, bytes) and taken is not None:
                    size += len(block)
                    taken.append(block)
                    if size > self._largest:
                        taken = None
                yield block
        finally:
            blocks.close()
        if taken is not None:
            self.keep(asked, KeptAnswer(since, tag, b"".join(taken), instances))
