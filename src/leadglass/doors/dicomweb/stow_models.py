"""STOW-RS of metadata and bulk data (PS3.18 10.5.1): instances that are put together from what was sent.

Rule 1. The order of the parts does not matter: bulk data waits, sealed, in one draft
until the request is whole. Rule 2. Bulk data is what a part of the same request is,
by its Content-Location; no address is ever fetched. Rule 3. Metadata that cannot be
read refuses the request; an instance that cannot be put together fails alone.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import Draft, NotTakenIn, Reader
from leadglass.dicom import codestream, sop_classes, tags, uids
from leadglass.dicom.compose import Sent, compose
from leadglass.dicom.json_reader import Modelled, ModelLimits, read_json
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.native_xml_reader import read_native
from leadglass.dicom.part10 import FileMeta
from leadglass.dicom.source import Bytes
from leadglass.doors.dicomweb.accept import DICOM_JSON, DICOM_XML, OCTETS
from leadglass.doors.dicomweb.multipart import Malformed, parse_content_type
from leadglass.doors.dicomweb.stow_intake import Batches, Coming, Courier, coded_part
from leadglass.doors.dicomweb.stow_response import Became, FailureReason
from leadglass.doors.dicomweb.stow_share import Gathered, Share
from leadglass.doors.threads import Threads
from leadglass.errors import BadInput, Busy, Denied, LeadglassError
from leadglass.policy.caller import Caller

_PIECE: Final = 1 << 20
"""Bytes of bulk data that are gathered for a hop to a thread."""
_MOST_PARTS: Final = 100_000
"""Parts of bulk data of one request: a whole-slide image has tens of thousands of frames."""
_JSON_TYPES: Final = frozenset({DICOM_JSON, "application/json"})
_XML_TYPES: Final = frozenset({DICOM_XML, "application/xml", "text/xml"})

_SYNTAXES: Final = {
    "image/jpeg": frozenset(uids.JPEG_FAMILY),
    "image/dicom-rle": frozenset({uids.RLE_LOSSLESS}),
    "image/x-dicom-rle": frozenset({uids.RLE_LOSSLESS}),
    "image/jls": frozenset(uids.JPEG_LS_FAMILY),
    "image/x-jls": frozenset(uids.JPEG_LS_FAMILY),
    "image/jp2": frozenset({uids.JPEG_2000_LOSSLESS, uids.JPEG_2000}),
    "image/jpx": frozenset({uids.JPEG_2000_MC_LOSSLESS, uids.JPEG_2000_MC}),
    "image/jphc": frozenset(uids.HTJ2K_FAMILY),
    "image/jxl": frozenset(uids.JPEG_XL_FAMILY),
    "video/mpeg": frozenset(uids.VIDEO),
    "video/mpeg2": frozenset(uids.VIDEO),
    "video/mp4": frozenset(uids.VIDEO),
    "video/h265": frozenset(uids.VIDEO),
}
"""Media type of compressed bulk data → its transfer syntaxes (PS3.18 Table 8.7.3-5)."""

_DEFAULTS: Final = {
    "image/dicom-rle": uids.RLE_LOSSLESS,
    "image/x-dicom-rle": uids.RLE_LOSSLESS,
    "image/jpx": uids.JPEG_2000_MC_LOSSLESS,
    "image/jxl": uids.JPEG_XL_LOSSLESS,
}
"""The default of the same table, where the frame itself is not looked at for it."""


_UNSETTLED: Final = "a transfer syntax that is not settled yet"


@dataclass(frozen=True, slots=True)
class _Slice:
    """A part of the draft, as a ``ReadAt``."""

    source: Reader
    start: int
    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``offset``."""
        return self.source.read_at(self.start + offset, max(0, min(length, self.size - offset)))


@dataclass(slots=True)
class _Bulk:
    """Parts of bulk data that have one Content-Location: a value, or the frames of one."""

    media_type: str
    transfer_syntax_uid: str
    places: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


@dataclass(frozen=True, slots=True)
class Drafts:
    """Where bulk data of one caller waits."""

    archive: Archive
    caller: Caller

    def begin(self) -> Draft:
        """Begin a draft; raises ``Denied``, ``Full``."""
        return self.archive.draft(self.caller)


class Models:
    """A sink for parts that are metadata and bulk data.

    Parameters
    ----------
    drafts : Drafts
        Where bulk data waits.
    courier : Courier
        Hands instances on.
    threads : Threads
        Where it does.
    share : Share
        What may be held in memory.
    media_type : str
        That of the metadata.
    reading : asyncio.Semaphore
        How many requests' metadata may be in memory, taken apart, at one time.
    limits : ModelLimits
        What metadata may cost.
    """

    def __init__(
        self,
        drafts: Drafts,
        courier: Courier,
        threads: Threads,
        share: Share,
        media_type: str,
        reading: asyncio.Semaphore,
        limits: ModelLimits,
    ) -> None:
        self._drafts = drafts
        self._courier = courier
        self._threads = threads
        self._share = share
        self._batches = Batches(courier, threads, share)
        self._media_type = media_type
        self._types = _JSON_TYPES if media_type == DICOM_JSON else _XML_TYPES
        self._reading = reading
        self._limits = limits
        self._texts: list[bytes] = []
        self._text: Gathered | None = None
        """Of the metadata part that is read now."""
        self._kept = 0
        """Bytes of metadata and of locations that are kept."""
        self._bulk: dict[str, _Bulk] = {}
        self._now: _Bulk | None = None
        """The bulk data that is read now."""
        self._start = 0
        self._written = 0
        self._parts = 0
        self._shared = 0
        """Of them, those that are counted among all requests'."""
        self._pending = Gathered()
        self._draft: Draft | None = None
        self._reader: Reader | None = None

    @property
    def stored(self) -> int:
        """Instances known to be on stable storage."""
        return self._batches.stored

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Begin a part: metadata by its media type, else bulk data.

        Raises
        ------
        Malformed
            When it is neither.
        """
        wrong = coded_part(headers)
        if wrong is not None:
            raise Malformed(wrong.message)
        said = parse_content_type(headers.get("content-type") or (OCTETS if self._texts else self._media_type))
        if said.name in self._types:
            self._text = Gathered()
            return
        location = headers.get("content-location", "")
        if not location:
            raise Malformed("A part is neither metadata nor bulk data: it has no Content-Location.")
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise Malformed(f"The request has more than {_MOST_PARTS:,} parts of bulk data.")
        self._keep(len(location))
        syntax = said.parameters.get("transfer-syntax", "")
        bulk = self._bulk.setdefault(_value_of(location), _Bulk(said.name, syntax))
        if (bulk.media_type, bulk.transfer_syntax_uid) != (said.name, syntax):
            raise Malformed("Two parts have one Content-Location and are of two media types.")
        self._now = bulk
        self._start = self._written + self._pending.size

    async def take(self, data: bytes) -> None:
        """Take its next bytes."""
        if self._text is not None:
            self._keep(len(data))
            self._text.add(data)
            return
        self._pending.add(data)
        if self._pending.size >= _PIECE:
            await self._flush()

    def _keep(self, octets: int) -> None:
        self._kept += octets
        if self._kept > self._limits.text_bytes:
            raise Malformed(f"The metadata is longer than {self._limits.text_bytes:,} bytes.")
        self._share.keep_text(octets)
        self._shared += octets

    async def end(self) -> None:
        """End the part."""
        if self._text is not None:
            self._texts.append(b"".join(self._text.take()))
            self._text = None
        elif self._now is not None:
            end = self._written + self._pending.size
            self._now.places.append((self._start, end - self._start))
            self._now = None

    async def _flush(self) -> None:
        """Put bulk data into the draft."""
        size = self._pending.size
        await self._threads.run(self._write, self._pending.take())
        self._written += size

    def _write(self, blocks: list[bytes]) -> None:
        if self._draft is None:
            self._draft = self._drafts.begin()
        self._draft.write(*blocks)

    async def close(self) -> Sequence[Became]:
        """Put the instances together and commit them.

        Raises
        ------
        Malformed
            When the metadata cannot be read.
        """
        if not self._texts:
            raise Malformed(f"The request has no metadata: no part is {self._media_type}.")
        if self._pending.size:
            await self._flush()
        try:
            async with self._reading:
                found, sent = await self._threads.run(self._read)
                while found:
                    coming = Coming()
                    try:
                        await self._threads.run(self._put_together, coming, found.pop(), sent)
                    finally:
                        await self._batches.add(coming)
                return await self._batches.close()
        finally:
            await self._forget()

    def _read(self) -> tuple[list[Modelled], dict[str, Sent]]:
        """Read the metadata, and find out what bulk data there is; gives the instances, the last first."""
        texts, self._texts = self._texts, []
        found: list[Modelled] = []
        try:
            for text in texts:
                if self._media_type == DICOM_JSON:
                    found += read_json(text, self._limits)
                else:
                    found.append(read_native(text, self._limits))
        except BadInput as error:
            raise Malformed(error.message) from None
        if len(found) > self._limits.instances:
            raise Malformed(f"The metadata is of more than {self._limits.instances:,} instances.")
        if self._draft is not None:
            self._reader = self._draft.finish()
        found.reverse()
        return found, {location: self._sent(bulk) for location, bulk in self._bulk.items()}

    def _sent(self, bulk: _Bulk) -> Sent:
        sources = [_Slice(self._reader, *place) if self._reader else Bytes(b"") for place in bulk.places]
        is_compressed = bulk.media_type.startswith(("image/", "video/"))
        return Sent(sources, _UNSETTLED if is_compressed else "")

    def _put_together(self, coming: Coming, model: Modelled, sent: Mapping[str, Sent]) -> None:
        """Write one instance; raises ``Denied`` when the caller may not store at all."""
        attributes = model.attributes
        class_uid, instance_uid = (_text(attributes, tag) for tag in (tags.SOPClassUID, tags.SOPInstanceUID))
        coming.meta = FileMeta(class_uid, instance_uid, "")
        try:
            if sop_classes.is_of_other_service(class_uid):
                coming.fail(NotTakenIn())
                return
            attributes, sent = self._settled(attributes, sent)
            composed = compose(attributes, sent, model.transfer_syntax_uid)
            coming.meta = FileMeta(class_uid, instance_uid, composed.transfer_syntax_uid)
            receiving = self._courier.open(coming, composed.transfer_syntax_uid)
            for block in composed.blocks():
                receiving.write(block)
            coming.held = _PIECE
        except Denied:
            raise
        except _NotTaken as error:
            coming.fail(error, FailureReason.TRANSFER_SYNTAX_NOT_SUPPORTED)
        except LeadglassError as error:
            coming.fail(error)

    def _settled(self, attributes: Attributes, sent: Mapping[str, Sent]) -> tuple[Attributes, Mapping[str, Sent]]:
        """Settle what compressed pixel data is in, and describe it where the metadata does not (PS3.18 10.5.2).

        Raises
        ------
        BadInput
            When that cannot be told.
        """
        uri = attributes.get(tags.key(tags.PixelData), JsonElement(vr="OW")).get("BulkDataURI", "")
        bulk = self._bulk.get(uri)
        if bulk is None:
            return attributes, sent
        frames, said = sent[uri], bulk.transfer_syntax_uid
        if not frames.transfer_syntax_uid:
            if said not in ("", uids.EXPLICIT_VR_LITTLE_ENDIAN):
                raise _NotTaken("Pixel data that is not compressed has to be Little Endian (PS3.18 8.7.3.3.1).")
            return attributes, sent
        allowed = _SYNTAXES.get(bulk.media_type, frozenset[str]())
        if not allowed or (said and said not in allowed):
            raise _NotTaken("The pixel data is of a media type or in a transfer syntax that is not taken.")
        said = said or _DEFAULTS.get(bulk.media_type, "")
        if not said or tags.key(tags.Rows) not in attributes:
            seen = codestream.look(frames.sources[0].read_at(0, codestream.HEAD))
            said = said or seen.transfer_syntax_uid
            if tags.key(tags.Rows) not in attributes:
                attributes = {**seen.description(len(frames.sources)), **attributes}
        if said not in allowed:
            raise _NotTaken("The pixel data is not of the media type that its part says.")
        return attributes, _With(uri, Sent(frames.sources, said), sent)

    async def abandon(self) -> None:
        """Forget what is not committed."""
        await self._batches.abandon()
        await self._forget()

    async def _forget(self) -> None:
        self._pending.take()
        self._texts.clear()
        shared, self._shared = self._shared, 0
        self._share.keep_text(-shared)
        try:
            await self._threads.run(self._let_go)
        except Busy:
            self._let_go()  # the pool is already stopped, so nothing else runs in this loop for long

    def _let_go(self) -> None:
        reader, self._reader = self._reader, None
        draft, self._draft = self._draft, None
        if reader is not None:
            reader.close()
        if draft is not None:
            draft.abort()


class _With(Mapping[str, Sent]):
    """A mapping with one value replaced; the others are not copied."""

    def __init__(self, key: str, value: Sent, others: Mapping[str, Sent]) -> None:
        self._key, self._value, self._others = key, value, others

    def __getitem__(self, key: str) -> Sent:
        return self._value if key == self._key else self._others[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._others)

    def __len__(self) -> int:
        return len(self._others)


class _NotTaken(BadInput):
    """Bulk data of a media type, or in a transfer syntax, that is not taken."""


def _value_of(location: str) -> str:
    """Give the URI of the value that a part belongs to: frames may be numbered behind it."""
    before, slash, number = location.rpartition("/frames/")
    return before if slash and number.isascii() and number.isdecimal() else location


def _text(attributes: Attributes, tag: int) -> str:
    values = attributes.get(tags.key(tag), {"vr": ""}).get("Value", [])
    return values[0] if values and isinstance(values[0], str) else ""
