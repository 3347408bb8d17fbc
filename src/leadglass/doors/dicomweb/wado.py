"""WADO-RS: instances as DICOM files (PS3.18 section 10.4.1.1.1), as stored or in another transfer syntax.

Rule 1. What each instance will be sent as is decided before the first byte is;
where one of them cannot be sent as the client wants it, none is. Rule 2. As
stored is bit-exact. Rule 3. Nothing is compressed with loss here.

Who names no transfer syntax gets Explicit VR Little Endian (PS3.18 section
8.7.3.5.1), or what is stored where that cannot be decoded: video, private ones,
what is damaged, and what is too large. One such image withholds no study. Who names
compressed ones means images: what has no Pixel Data is given as to who names none.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom import tags, uids
from leadglass.dicom.part10 import file_meta
from leadglass.dicom.source import ReadAt
from leadglass.dicom.transcode import Transcoder
from leadglass.doors.dicomweb.accept import ANY_SYNTAX, DICOM, NotAcceptable, Offer, Wanted, accept_of, choose
from leadglass.doors.dicomweb.locating import locate
from leadglass.doors.dicomweb.multipart import MultipartWriter
from leadglass.doors.dicomweb.paths import INSTANCE, SERIES, STUDY, Target, target_of
from leadglass.doors.dicomweb.pumping import Blocks, Pause, Prepared, respond
from leadglass.doors.web.problem import HttpFault
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Full, Unsupported

BLOCK: Final = 1 << 20
"""Bytes read from an instance at once: a CT slice is whole in them, and each block has its way through the loop."""
_TARGETS: Final = (*sorted(uids.UNCOMPRESSED), *sorted(uids.ENCODED))


class Instances:
    """The resources that are DICOM files.

    Parameters
    ----------
    services : Services
        What handlers work with.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def answer(self, asked: Asked) -> Response:
        """Give a study, a series or an instance as DICOM files."""
        request = asked.request
        target = target_of(request)
        wanted = accept_of(request)
        return await respond(self._services.threads, lambda: self.prepare(asked, target, wanted))

    def prepare(self, asked: Asked, target: Target, wanted: Sequence[Wanted]) -> Prepared:
        """Decide what is sent and how (blocking)."""
        retrieval = locate(self._services.archive, asked.caller, target, is_whole=True)
        transcoder = self._services.transcoder
        making = _Making(transcoder, is_named=not _leaves_syntax_open(wanted))
        if target.instance:
            record = retrieval.records[0]
            may_encode = _names_encoded(wanted) and _has_frames(retrieval, record)
            offers = dicom_offers(transcoder, record.transfer_syntax_uid, may_encode)
            offer = _choose(retrieval, record, wanted, offers)
            if not offer.is_related:
                return _single(retrieval, record, offer.transfer_syntax, making)
            syntaxes = [offer.transfer_syntax]
        else:
            syntaxes = _chosen(transcoder, retrieval, wanted)
        writer = MultipartWriter(DICOM)
        headers = {"Vary": "Accept"}
        blocks = _related(retrieval, syntaxes, writer, making)
        return Prepared(writer.content_type, blocks, length=_length(retrieval, syntaxes), headers=headers)


def routes(services: Services) -> list[Route]:
    """Give the routes of instances as DICOM files."""
    instances = Instances(services)
    return [
        Route(path, ("GET",), instances.answer, summary=f"{what} as DICOM files.")
        for path, what in ((STUDY, "A study"), (SERIES, "A series"), (INSTANCE, "An instance"))
    ]


def dicom_offers(transcoder: Transcoder, stored: str, has_frames: bool, *, may_single: bool = True) -> list[Offer]:  # noqa: FBT001 - a fact, not a switch
    """Give the ways in which an instance can be given as a DICOM file, as stored first.

    Parameters
    ----------
    transcoder : Transcoder
        Knows what can be made of what.
    stored : str
        Its transfer syntax.
    has_frames : bool
        Whether it has frames that can be told apart, without which there is nothing to encode.
    may_single : bool
        Whether it may be given alone, not as multipart.
    """
    default = uids.EXPLICIT_VR_LITTLE_ENDIAN if transcoder.can(stored, uids.EXPLICIT_VR_LITTLE_ENDIAN) else stored
    made = [
        syntax
        for syntax in _TARGETS
        if syntax != stored
        and (transcoder.can(stored, syntax) if syntax in uids.UNCOMPRESSED else has_frames)
        and (syntax in uids.UNCOMPRESSED or transcoder.can_encode(stored, syntax))
    ]
    return [
        Offer(DICOM, is_related, syntax, is_default=syntax == default, is_stored=syntax == stored)
        for is_related in ((True, False) if may_single else (True,))
        for syntax in (stored, *made)
    ]


def _leaves_syntax_open(wanted: Sequence[Wanted]) -> bool:
    """Say whether a client takes DICOM files without having named a transfer syntax."""
    return any(
        each.q and each.transfer_syntax in ("", ANY_SYNTAX) and each.media in (DICOM, "application/*", "*/*")
        for each in wanted
    )


@dataclass(frozen=True, slots=True)
class _Making:
    """Makes instances in the transfer syntax that was chosen.

    Parameters
    ----------
    transcoder : Transcoder
        Decodes and encodes.
    is_named : bool
        Whether the client takes nothing but transfer syntaxes that it named.
    """

    transcoder: Transcoder
    is_named: bool

    def made(self, reader: ReadAt, stored: str, syntax: str, held: ExitStack) -> tuple[str, ReadAt | None]:
        """Give the transfer syntax in which an instance leaves, and its data set unless it is as stored.

        The data set is there until ``held`` is closed.

        Raises
        ------
        HttpFault
            406 when it cannot be made, and nothing else is taken.
        Busy
        """
        if syntax == stored:
            return stored, None
        try:
            return syntax, held.enter_context(self.transcoder.opened(reader, stored, syntax))
        except (BadInput, Full, Unsupported) as error:
            if self.is_named:
                raise HttpFault(HTTPStatus.NOT_ACCEPTABLE, f"{error.message} Ask for transfer-syntax=*.") from None
            return stored, None


def _single(retrieval: Retrieval, record: InstanceRecord, syntax: str, making: _Making) -> Prepared:
    """Give one instance as one DICOM file."""
    stored = record.transfer_syntax_uid
    meta = file_meta(record.sop_class_uid, record.sop_instance_uid, syntax)

    def given(reader: ReadAt, held: ExitStack) -> tuple[bytes, ReadAt | None]:
        nonlocal syntax, meta
        syntax, made = making.made(reader, stored, syntax, held)
        meta = file_meta(record.sop_class_uid, record.sop_instance_uid, syntax)
        return meta, made

    blocks = _file_blocks(retrieval, record, given, is_made_first=syntax != stored)
    if syntax != stored:
        next(blocks)  # made now: the header that says the transfer syntax leaves before the body
    is_stored = syntax == stored and retrieval.is_as_stored(record)
    return Prepared(
        f"{DICOM}; transfer-syntax={syntax}",
        blocks,
        length=len(meta) + record.size if is_stored else None,
        headers={"Vary": "Accept"},
    )


def _file_blocks(
    retrieval: Retrieval,
    record: InstanceRecord,
    given: Callable[[ReadAt, ExitStack], tuple[bytes, ReadAt | None]],
    *,
    is_made_first: bool = False,
) -> Blocks:
    """Give the bytes of an instance as a DICOM file (PS3.10), and say what became of it.

    ``given`` gives what stands before its data set, and the data set unless it is as
    stored. Where that is made first, a Pause of no length says that it is; else
    nothing is held while the brakes make wait.
    """
    try:
        with retrieval.open(record) as reader, ExitStack() as held:
            if not is_made_first:
                yield Pause(retrieval.take_delay())
            before, made = given(reader, held)
            if is_made_first:
                yield Pause(0.0)
                yield Pause(retrieval.take_delay())
            yield before
            read = reader.view_at if made is None else made.read_at
            offset = 0
            while block := read(offset, BLOCK):
                yield block
                offset += len(block)
    except BaseException:
        retrieval.failed(record)
        raise
    retrieval.sent(record)


def _chosen(transcoder: Transcoder, retrieval: Retrieval, wanted: Sequence[Wanted]) -> list[str]:
    """Give the transfer syntax that each instance is to be sent in.

    Raises
    ------
    NotAcceptable
        When one of them cannot be sent as the client takes it.
    """
    chosen: dict[tuple[str, bool], str] = {}
    syntaxes: list[str] = []
    is_encoding = _names_encoded(wanted)
    for record in retrieval.records:
        kind = (record.transfer_syntax_uid, is_encoding and _has_frames(retrieval, record))
        if kind in chosen:
            syntaxes.append(chosen[kind])
            continue
        offers = dicom_offers(transcoder, *kind, may_single=False)
        try:
            chosen[kind] = choose(wanted, offers).transfer_syntax
        except NotAcceptable:
            syntaxes.append(_choose(retrieval, record, wanted, offers).transfer_syntax)
        else:
            syntaxes.append(chosen[kind])
    return syntaxes


def _choose(retrieval: Retrieval, record: InstanceRecord, wanted: Sequence[Wanted], offers: Sequence[Offer]) -> Offer:
    """Give the way in which one instance is sent.

    What is compressed is Pixel Data (PS3.5 section A.4): an instance without any is not
    kept from who names only compressed transfer syntaxes, be it alone or among images.

    Raises
    ------
    NotAcceptable
        When it cannot be sent as the client takes it.
    """
    try:
        return choose(wanted, offers)
    except NotAcceptable:
        if tags.key(tags.PixelData) in retrieval.metadata(record):
            raise
        open_ = [replace(each, transfer_syntax="") if _is_compressed(each.transfer_syntax) else each for each in wanted]
        return choose(open_, offers)


def _is_compressed(syntax: str) -> bool:
    return uids.is_transfer_syntax(syntax) and syntax not in uids.NATIVE


def _names_encoded(wanted: Sequence[Wanted]) -> bool:
    """Say whether something is asked for by name that has to be encoded; else nobody has to know of frames."""
    return any(each.transfer_syntax in uids.ENCODED for each in wanted)


def _has_frames(retrieval: Retrieval, record: InstanceRecord) -> bool:
    return retrieval.frames(record) is not None


def _length(retrieval: Retrieval, syntaxes: list[str]) -> int | None:
    """Give the bytes of what ``_related`` gives; None where that is known only when it is made.

    Clients see how far they are, and what is sent needs no chunks, for which each block would be copied.
    """
    studies = {record.study_uid: record for record in retrieval.records}
    if not all(retrieval.is_as_stored(record) for record in studies.values()):
        return None
    alike = MultipartWriter(DICOM)  # the boundary is another, and as long
    befores: dict[tuple[bool, str, int, str], int] = {}
    length = 0
    for index, (record, syntax) in enumerate(zip(retrieval.records, syntaxes, strict=True)):
        if syntax != record.transfer_syntax_uid:
            return None
        kind = (index == 0, record.sop_class_uid, len(record.sop_instance_uid), syntax)
        if kind not in befores:
            befores[kind] = len(_before(record, syntax, alike))
        length += befores[kind] + record.size
    return length + len(alike.end())


def _before(record: InstanceRecord, syntax: str, writer: MultipartWriter) -> bytes:
    """Give what stands before the data set of a part."""
    meta = file_meta(record.sop_class_uid, record.sop_instance_uid, syntax)
    return writer.part({"Content-Type": f"{DICOM}; transfer-syntax={syntax}"}) + meta


def _related(retrieval: Retrieval, syntaxes: list[str], writer: MultipartWriter, making: _Making) -> Blocks:
    given = [each for each in zip(retrieval.records, syntaxes, strict=True) if not retrieval.withheld(each[0])]
    if not given:
        retrieval.open(retrieval.records[0]).close()  # says why nothing of it is given
    for record, syntax in given:
        yield from _file_blocks(retrieval, record, partial(_part, record, syntax, writer, making))
    yield writer.end()


def _part(
    record: InstanceRecord, syntax: str, writer: MultipartWriter, making: _Making, reader: ReadAt, held: ExitStack
) -> tuple[bytes, ReadAt | None]:
    """Give what stands before the data set of a part, and the data set unless it is as stored."""
    syntax, made = making.made(reader, record.transfer_syntax_uid, syntax, held)
    return _before(record, syntax, writer), made
