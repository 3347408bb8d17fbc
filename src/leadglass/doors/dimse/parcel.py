"""A parcel: one instance made ready for a receiver, and read while it is being sent.

Rule 1. Whatever a parcel opened it closes, also when nobody waits for it any
more: it exists before the thread that fills it. Rule 2. An instance leaves as
stored when the receiver accepted its transfer syntax; otherwise changed into
one that it accepted, or it does not leave.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Final, Protocol

from leadglass.archive.archive import Retrieval
from leadglass.archive.backroom import InstanceRecord
from leadglass.dicom.source import Bytes, ReadAt
from leadglass.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from leadglass.errors import Unsupported

FALLBACKS: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
"""What instances are changed into for a receiver, best first; every DICOM receiver takes the second (PS3.5 10.1)."""


class Transcodes(Protocol):
    """Changes an instance from one transfer syntax to another, in a process that may be killed."""

    def can(self, from_ts: str, to_ts: str) -> bool:
        """Say whether it knows how."""
        ...

    def opened(self, source: ReadAt, from_ts: str, to_ts: str) -> AbstractContextManager[ReadAt]:
        """Give the data set in the other transfer syntax, to be read inside the block.

        Raises
        ------
        Unsupported, BadInput, Busy
        """
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """A presentation context over which the receiver takes instances of one class."""

    context_id: int
    transfer_syntax_uid: str


def choose(stored: str, accepted: Sequence[Accepted], transcoder: Transcodes) -> Accepted:
    """Choose the context for an instance stored in one transfer syntax.

    Raises
    ------
    Unsupported
        When the receiver accepted nothing that the instance is or can become.
    """
    if not accepted:
        raise Unsupported("The receiver did not accept the SOP class.")
    by_syntax = {context.transfer_syntax_uid: context for context in accepted}
    if stored in by_syntax:
        return by_syntax[stored]
    others = [uid for uid in by_syntax if uid not in FALLBACKS]
    for uid in (*FALLBACKS, *others):
        if uid in by_syntax and transcoder.can(stored, uid):
            return by_syntax[uid]
    raise Unsupported("The receiver did not accept the transfer syntax.")


class Parcel:
    """One located instance on its way to a receiver.

    Parameters
    ----------
    retrieval : Retrieval
        The permitted retrieval the record is of.
    record : InstanceRecord
        Which instance.
    accepted : sequence of Accepted
        The receiver's contexts for its class.
    transcoder : Transcodes
        For receivers that did not accept the stored transfer syntax.
    block : int
        Bytes to read at a time.
    """

    __slots__ = (
        "_accepted",
        "_block",
        "_opened",
        "_retrieval",
        "_source",
        "_transcoder",
        "context_id",
        "first",
        "record",
    )

    def __init__(
        self,
        retrieval: Retrieval,
        record: InstanceRecord,
        accepted: Sequence[Accepted],
        transcoder: Transcodes,
        block: int,
    ) -> None:
        self.record = record
        self.context_id = 0
        self.first = b""
        self._retrieval = retrieval
        self._accepted = accepted
        self._transcoder = transcoder
        self._block = block
        self._opened = ExitStack()
        self._source: ReadAt = Bytes(b"")

    @property
    def size(self) -> int:
        """Bytes of the data set as it is sent."""
        return self._source.size

    def prepare(self) -> None:
        """Open the instance, change its transfer syntax if need be, and read the first block; in a thread.

        Raises
        ------
        LeadglassError
            When the instance cannot be sent to this receiver.
        """
        stored = self.record.transfer_syntax_uid
        context = choose(stored, self._accepted, self._transcoder)
        self._source = reader = self._opened.enter_context(self._retrieval.open(self.record))
        if context.transfer_syntax_uid != stored:
            made = self._transcoder.opened(reader, stored, context.transfer_syntax_uid)
            self._source = self._opened.enter_context(made)
        self.context_id = context.context_id
        self.first = self.read(0)

    def read(self, offset: int) -> bytes:
        """Read the block at ``offset``; in a thread.

        Raises
        ------
        Corrupt
            When what is stored fails its authentication.
        """
        return self._source.read_at(offset, self._block)

    def close(self) -> None:
        """Let go of the file, and of what was made of it."""
        self._source = Bytes(b"")
        self._opened.close()
