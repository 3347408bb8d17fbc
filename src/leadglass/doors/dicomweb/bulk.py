"""Bulk data: what metadata names by a BulkDataURI (PS3.18 section 10.4.1.1.5), whole or a range of its bytes.

Rule 1. A place is given only where the metadata that the caller may see names
it: numbers that were made up, or are masked, are not here. Rule 2. Values of
words leave as Little Endian, whatever they are stored as. Rule 3. Encapsulated pixel
data leaves as its items, in the transfer syntax that is said with it, or not at all.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom import tags, uids
from leadglass.dicom.inflate import plain
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import JsonElement, bulk_location, is_encapsulated_bulk
from leadglass.dicom.native import Words, pixel_word_of
from leadglass.dicom.recode import word_size
from leadglass.dicom.source import ReadAt
from leadglass.doors.dicomweb.accept import OCTETS, Offer, Wanted, accept_of, choose
from leadglass.doors.dicomweb.locating import locate
from leadglass.doors.dicomweb.metadata import bulk_base, is_listed
from leadglass.doors.dicomweb.multipart import MultipartWriter
from leadglass.doors.dicomweb.paths import INSTANCE, SERIES, STUDY, Target, service_url, target_of
from leadglass.doors.dicomweb.pumping import Blocks, Pause, Prepared, nothing, respond
from leadglass.doors.web.problem import HttpFault
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import NotHere

_BLOCK: Final = 1 << 20
_PIXEL_DATA: Final = tags.key(tags.PixelData)
_DELIMITER: Final = 8
"""Bytes of the Sequence Delimitation Item, which ends encapsulated pixel data and is none of it (PS3.5 A.4)."""
_RELATED: Final = Offer(OCTETS, is_related=True)
_PLACE: Final = re.compile(r"(?:bulk|fragments):[0-9]{1,15},[0-9]{1,15}", re.ASCII)
_NAMED: Final = re.compile(rb'"vr":"([A-Z]{2})","BulkDataURI":"((?:bulk|fragments):[0-9]+,[0-9]+)"')
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Value:
    """A value that was left in the data set.

    Parameters
    ----------
    vr : str
        Its value representation.
    place : str
        How metadata names it.
    """

    vr: str
    place: str

    @property
    def is_encapsulated(self) -> bool:
        """Whether it is items of fragments."""
        return is_encapsulated_bulk(self.place)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the header of a request says beside Accept.

    Parameters
    ----------
    range, if_range, if_none_match : str
        The fields of that name; empty when they are not there.
    """

    range: str
    if_range: str
    if_none_match: str


def range_of(text: str, size: int) -> tuple[int, int] | None:
    """Give first and last byte that a Range asks for (RFC 9110 section 14.2); None when all is to be given.

    What is no single range of bytes is passed over, as the RFC lets a server do.

    Raises
    ------
    HttpFault
        416, when nothing of it is there.
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None  # not a valid range
    if start >= size or end < start:
        raise HttpFault(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "The value has no such bytes.",
            {"Content-Range": f"bytes */{size}"},
        )
    return start, end


class Bulk:
    """The bulk data resources.

    Parameters
    ----------
    services : Services
        What handlers work with.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._limits = Limits()

    async def one(self, asked: Asked) -> Response:
        """Give one value."""
        request = asked.request
        target = target_of(request)
        place: str = request.path_params["place"]
        fields = request.headers
        conditions = Conditions(fields.get("range", ""), fields.get("if-range", ""), fields.get("if-none-match", ""))
        wanted = accept_of(request)
        base = service_url(request)
        return await respond(
            self._services.threads, lambda: self._prepare_one(asked, target, place, conditions, wanted, base)
        )

    async def all(self, asked: Asked) -> Response:
        """Give all values of a study, a series or an instance."""
        request = asked.request
        target = target_of(request)
        offer = choose(accept_of(request), (_RELATED,))
        base = service_url(request)

        def prepare() -> Prepared:
            retrieval = self._retrieve(asked, target)
            writer = MultipartWriter(offer.media)
            return Prepared(writer.content_type, self._every(retrieval, writer, base), headers={"Vary": "Accept"})

        return await respond(self._services.threads, prepare)

    def _retrieve(self, asked: Asked, target: Target) -> Retrieval:
        return locate(self._services.archive, asked.caller, target)

    def _prepare_one(
        self,
        asked: Asked,
        target: Target,
        place: str,
        conditions: Conditions,
        wanted: Sequence[Wanted],
        base: str,
    ) -> Prepared:
        if _PLACE.fullmatch(place) is None:
            raise NotHere("There is no such bulk data here.")
        retrieval = self._retrieve(asked, target)
        record = retrieval.records[0]
        [text] = retrieval.json_texts((record,))
        value = next((each for each in _values(text.plain(b"")) if each.place == place), None)
        if value is None:
            raise NotHere("There is no such bulk data here.")
        syntax = record.transfer_syntax_uid if value.is_encapsulated else ""
        single = Offer(OCTETS, is_related=False, transfer_syntax=syntax)
        related = replace(single, is_related=True)
        offer = choose(wanted, (single, related) if conditions.range else (related, single))
        _, size = _located(value)
        tag = f'"{hashlib.sha256(retrieval.fingerprint() + place.encode()).hexdigest()[:40]}"'
        headers = {"ETag": tag, "Accept-Ranges": "bytes", "Vary": "Accept, Range", "Cache-Control": "private, no-cache"}
        if is_listed(tag, conditions.if_none_match):
            return Prepared(offer.media, nothing(), status=304, headers=headers)
        asked_range = None
        # In multipart, which the clients that people have ask for, the range is that of the one part.
        if conditions.range and conditions.if_range in ("", tag):
            asked_range = range_of(conditions.range, size)
        first, last = asked_range or (0, size - 1)
        blocks = self._bytes(retrieval, record, value, first, last - first + 1)
        said = {} if asked_range is None else {"Content-Range": f"bytes {first}-{last}/{size}"}
        status = HTTPStatus.OK if asked_range is None else HTTPStatus.PARTIAL_CONTENT
        if offer.is_related:
            writer = MultipartWriter(offer.media)
            head = writer.part(_said(record, value, bulk_base(base, record)) | said)
            return Prepared(writer.content_type, _within(head, blocks, writer.end()), status=status, headers=headers)
        return Prepared(offer.content_type, blocks, length=last - first + 1, status=status, headers=headers | said)

    def _bytes(self, retrieval: Retrieval, record: InstanceRecord, value: Value, start: int, length: int) -> Blocks:
        with retrieval.open(record) as reader:
            source = self._value(retrieval, plain(reader, record.transfer_syntax_uid, self._limits), record, value)
            first, end = start, start + length
            while start < end:
                block = source.read_at(start, min(_BLOCK, end - start))
                if not block:
                    raise NotHere("There is no such bulk data here.")
                retrieval.read((record,), len(block), goes_on=start > first)
                yield Pause(retrieval.take_delay())
                yield block
                start += len(block)

    def _value(self, retrieval: Retrieval, source: ReadAt, record: InstanceRecord, value: Value) -> Words:
        start, size = _located(value)
        if record.transfer_syntax_uid != uids.EXPLICIT_VR_BIG_ENDIAN or value.is_encapsulated:
            return Words(source, start, size, 1)
        attributes = retrieval.metadata(record)
        is_image = attributes.get(_PIXEL_DATA, JsonElement(vr="")).get("BulkDataURI") == value.place
        word = pixel_word_of(attributes, record.transfer_syntax_uid) if is_image else word_size(value.vr)
        return Words(source, start, size, word)

    def _every(self, retrieval: Retrieval, writer: MultipartWriter, base: str) -> Blocks:
        given = [record for record in retrieval.records if not retrieval.withheld(record)]
        if not given:
            retrieval.open(retrieval.records[0]).close()  # says why nothing of it is given
        for record in given:
            [text] = retrieval.json_texts((record,))
            values = list(_values(text.plain(b"")))
            if values:
                yield from self._parts(retrieval, record, values, writer, bulk_base(base, record))
        yield writer.end()

    def _parts(
        self, retrieval: Retrieval, record: InstanceRecord, values: Sequence[Value], writer: MultipartWriter, base: str
    ) -> Blocks:
        for value in values:
            yield writer.part(_said(record, value, base))
            yield from self._bytes(retrieval, record, value, 0, _located(value)[1])


def _said(record: InstanceRecord, value: Value, base: str) -> dict[str, str]:
    """Give the header of a part that holds a value."""
    media = f"{OCTETS}; transfer-syntax={record.transfer_syntax_uid}" if value.is_encapsulated else OCTETS
    return {"Content-Type": media, "Content-Location": base + value.place}


def _within(head: bytes, blocks: Blocks, end: bytes) -> Blocks:
    yield head
    yield from blocks
    yield end


def _values(text: bytes) -> Iterator[Value]:
    """Give the values that JSON metadata names by BulkDataURI, those in sequences too."""
    for vr, place in _NAMED.findall(text):
        yield Value(vr.decode(), place.decode())


def _located(value: Value) -> tuple[int, int]:
    """Give where a value is, without what ends it: places hold that, and go on naming what they did."""
    location = bulk_location(value.place)
    if location is None:
        raise NotHere("There is no such bulk data here.")
    start, size = location
    return start, size - _DELIMITER if value.is_encapsulated else size


def routes(services: Services) -> list[Route]:
    """Give the routes of bulk data."""
    bulk = Bulk(services)
    return [
        Route(f"{INSTANCE}/bulkdata/{{place}}", ("GET",), bulk.one, summary="One value that metadata names by URI."),
        *(
            Route(f"{path}/bulkdata", ("GET",), bulk.all, summary=f"All bulk data of {what}.")
            for path, what in ((STUDY, "a study"), (SERIES, "a series"), (INSTANCE, "an instance"))
        ),
    ]
