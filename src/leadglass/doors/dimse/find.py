"""C-FIND as SCP (PS3.4 C.4.1, PS3.7 9.1.2).

Rule 1. Matches are fetched and encoded a page at a time, in a thread, and the
next page is fetched only when the last one is on its way. Rule 2. A C-CANCEL is
seen between any two matches.

Status: FF00 match · FF01 match, an optional key is not supported · 0000 done ·
FE00 cancelled · 0124 not authorized · A700 out of resources · A900 identifier
does not match · C001 unable to process.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import cast

from leadglass.archive.archive import Archive
from leadglass.dicom.codec_io import decode_identifier, encode_identifier
from leadglass.dicom.matching import Root, query_from_identifier
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.tags import (
    InstanceAvailability,
    QueryRetrieveLevel,
    RetrieveAETitle,
    SpecificCharacterSet,
    key,
)
from leadglass.doors.dimse.negotiation import Extras
from leadglass.doors.dimse.status import Status
from leadglass.doors.dimse.threads import Threads
from leadglass.policy.caller import Caller


@dataclass(frozen=True, slots=True)
class Question:
    """A C-FIND as received.

    Parameters
    ----------
    identifier : bytes
        Encoded keys.
    transfer_syntax_uid : str
        Of the identifier, and of the answers.
    root : Root
        The information model.
    extras : Extras
        What was negotiated.
    """

    identifier: bytes
    transfer_syntax_uid: str
    root: Root
    extras: Extras


class _Answers:
    """The answers to one question, encoded page by page in a thread."""

    __slots__ = ("_archive", "_caller", "_charset", "_fixed", "_matches", "_question", "pending")

    def __init__(self, archive: Archive, caller: Caller, question: Question) -> None:
        self._archive = archive
        self._caller = caller
        self._question = question
        self._matches: Iterator[Attributes] | None = None
        self._charset: tuple[str, ...] = ()
        self._fixed: Attributes = {}
        self.pending = Status.PENDING

    def _ask(self, ae_title: str) -> Iterator[Attributes]:
        question = self._question
        identifier = decode_identifier(question.identifier, question.transfer_syntax_uid)
        query = query_from_identifier(
            identifier,
            root=question.root,
            relational=question.extras.relational,
            combined_date_time=question.extras.combined_date_time,
            empty_value=question.extras.empty_value,
        )
        element = identifier.get(key(SpecificCharacterSet), JsonElement(vr="CS"))
        self._charset = tuple(str(value or "") for value in cast("list[object]", element.get("Value", [])))
        self._fixed = {
            key(QueryRetrieveLevel): JsonElement(vr="CS", Value=[query.level.value]),
            key(RetrieveAETitle): JsonElement(vr="AE", Value=[ae_title]),
        }
        if key(InstanceAvailability) in identifier:
            self._fixed[key(InstanceAvailability)] = JsonElement(vr="CS", Value=["ONLINE"])
        if query.ignored - self._fixed.keys():
            self.pending = Status.PENDING_OPTIONAL_KEYS
        return self._archive.find(self._caller, query)

    def page(self, count: int, ae_title: str) -> list[bytes]:
        """Give up to ``count`` further answers, encoded; none when there are no more."""
        if self._matches is None:
            self._matches = self._ask(ae_title)
        return [
            encode_identifier(match | self._fixed, self._question.transfer_syntax_uid, self._charset)
            for match in islice(self._matches, count)
        ]


async def find(
    archive: Archive,
    caller: Caller,
    question: Question,
    *,
    threads: Threads,
    page: int,
    ae_title: str,
    cancelled: Callable[[], bool],
) -> AsyncIterator[tuple[Status, bytes | None]]:
    """Answer a question: each match as a pending status with its identifier, then the final status.

    Parameters
    ----------
    archive, caller, question
        Who asks what.
    threads : Threads
        Where the archive is called.
    page : int
        Matches to fetch in one hop.
    ae_title : str
        Our own, as Retrieve AE Title (0008,0054).
    cancelled : callable
        Whether a C-CANCEL-RQ has arrived.

    Raises
    ------
    LeadglassError
        When the question cannot be answered.
    """
    answers = _Answers(archive, caller, question)
    while True:
        if cancelled():
            yield Status.CANCEL, None
            return
        encoded = await threads.run(answers.page, page, ae_title)
        for identifier in encoded:
            if cancelled():
                break
            yield answers.pending, identifier
        else:
            if len(encoded) < page:
                yield Status.SUCCESS, None
                return
