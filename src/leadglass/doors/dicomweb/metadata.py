"""Metadata: the attributes of instances without their bulk data (PS3.18 section 10.4.1.1.2), as JSON or XML.

Rule 1. JSON is sent as the index keeps it: where the client takes it deflated,
not even inflated; only what BulkDataURIs begin with is put in. Rule 2. An entity
tag is made of the digests of what was stored and of everything else that makes
the bytes: it is strong, and costs no look at the metadata. Rule 3. No more is made
than is sent next: blocks end by bytes, inside of an instance too. XML, which has to
be made of an instance as a whole, is made for a few at a time.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Final

from starlette.responses import Response

from leadglass import __version__
from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Again, Retrieval
from leadglass.dicom.json_text import Deflated, JsonText, stored
from leadglass.dicom.native_xml import write_native
from leadglass.doors.dicomweb.accept import DICOM_JSON, DICOM_XML, JSON, Offer, accept_of, choose
from leadglass.doors.dicomweb.fair import FairThreads
from leadglass.doors.dicomweb.kept import KeptAnswer, KeptAnswers
from leadglass.doors.dicomweb.locating import locate
from leadglass.doors.dicomweb.multipart import MultipartWriter
from leadglass.doors.dicomweb.paths import INSTANCE, SERIES, STUDY, Target, instance_path, service_url, target_of
from leadglass.doors.dicomweb.pumping import Blocks, Holding, Pause, Prepared, nothing, respond
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller

_BATCH: Final = 256
"""Instances whose metadata is read from the index at once, at most; some 1.5 MB of JSON."""
_BLOCK: Final = 1 << 20
"""Bytes that are sent at once."""
_XML_TOGETHER: Final = 2
"""Answers in XML that are made at one time: an instance of many elements takes some 200 MB while it is."""
_XML_HELD: Final = 128 << 20
"""Bytes of XML of instances that are large by themselves, made and not sent yet."""
_OFFERS: Final = (
    Offer(DICOM_JSON, is_related=False),
    Offer(JSON, is_related=False),
    Offer(DICOM_XML, is_related=True),
)
_OPEN, _COMMA, _CLOSE = stored(b"["), stored(b","), stored(b"]")


class Metadata:
    """The metadata resources.

    Parameters
    ----------
    services : Services
        What handlers work with.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept = KeptAnswers()
        self._xml = FairThreads(services.threads, _XML_TOGETHER)
        self._held = Holding(_XML_HELD)

    async def answer(self, asked: Asked) -> Response:
        """Give the metadata of a study, a series or an instance."""
        request = asked.request
        target = target_of(request)
        offer = choose(accept_of(request), _OFFERS)
        is_deflated = offer.media != DICOM_XML and takes_deflated(request.headers.get("accept-encoding", ""))
        base = service_url(request)
        tags = request.headers.get("if-none-match", "")

        def prepare() -> Prepared:
            return self._prepare(asked, target, offer, base, tags, is_deflated=is_deflated)

        is_xml = offer.media == DICOM_XML
        return await respond(self._xml.of(str(asked.caller)) if is_xml else self._services.threads, prepare)

    def _prepare(
        self, asked: Asked, target: Target, offer: Offer, base: str, tags: str, *, is_deflated: bool
    ) -> Prepared:
        archive, caller = self._services.archive, asked.caller
        variant = f"{offer} {base} {is_deflated}"
        what = f"{variant} {target}"
        headers = {"Vary": "Accept, Accept-Encoding", "Cache-Control": "private, no-cache"}
        if is_deflated:
            headers["Content-Encoding"] = "deflate"
        kept = self._kept.find(what)
        if kept is not None:
            given = self._again(caller, target, kept, tags, offer.media, headers)
            if given is not None:
                return given
            self._kept.forget(what)
        may_keep = offer.media != DICOM_XML and target.instance is None
        since = archive.position(caller, Action.GET) if may_keep else 0
        retrieval = locate(archive, caller, target)
        tag = headers["ETag"] = _tag(retrieval, variant)
        if is_listed(tag, tags):
            return _not_modified(offer.media, headers)
        if offer.media == DICOM_XML:
            writer = MultipartWriter(DICOM_XML)
            return Prepared(writer.content_type, _xml(retrieval, base, writer, self._held), headers=headers)
        blocks = (_deflated if is_deflated else _plain)(retrieval, base)
        if may_keep and retrieval.is_as_stored(retrieval.records[0]):  # of one study all are, or none is
            blocks = self._kept.keeping(what, since, tag, len(retrieval.records), blocks)
        return Prepared(offer.media, blocks, headers=headers)

    def _again(
        self, caller: Caller, target: Target, kept: KeptAnswer, tags: str, media: str, headers: dict[str, str]
    ) -> Prepared | None:
        """Give what was kept, where that is still what the caller would be given."""
        is_there = is_listed(kept.tag, tags)
        instances, octets = (0, 0) if is_there else (kept.instances, len(kept.body))
        asked = Again(target.level, target.study, kept.since, instances, octets)
        delay = self._services.archive.retrieve_again(caller, Action.GET, asked)
        if delay is None:
            return None
        headers = headers | {"ETag": kept.tag}
        if is_there:
            return _not_modified(media, headers)
        return Prepared(media, _whole(kept.body, delay), len(kept.body), headers=headers)


def _not_modified(media: str, headers: dict[str, str]) -> Prepared:
    headers.pop("Content-Encoding", None)
    return Prepared(media, nothing(), status=304, headers=headers)


def _whole(body: bytes, delay: float) -> Blocks:
    yield Pause(delay)
    yield body


def routes(services: Services) -> list[Route]:
    """Give the routes of metadata."""
    metadata = Metadata(services)
    return [
        Route(f"{path}/metadata", ("GET",), metadata.answer, summary=f"The metadata of {what}, JSON or XML.")
        for path, what in ((STUDY, "a study"), (SERIES, "a series"), (INSTANCE, "an instance"))
    ]


def takes_deflated(accept_encoding: str) -> bool:
    """Say whether ``deflate`` is acceptable (RFC 9110 section 12.5.3)."""
    for entry in accept_encoding.lower().split(","):
        name, _, parameters = entry.partition(";")
        if name.strip() == "deflate":
            weight = parameters.partition("=")[2].strip()
            return not weight or bool(weight.strip("0."))
    return False


def is_listed(tag: str, listed: str) -> bool:
    """Say whether an entity tag is in an If-None-Match (weak comparison, RFC 9110 section 13.1.2)."""
    return listed.strip() == "*" or tag in (each.strip().removeprefix("W/") for each in listed.split(","))


def bulk_base(base: str, record: InstanceRecord) -> str:
    """Give what the BulkDataURIs of an instance begin with."""
    return f"{base}{instance_path(record)}/bulkdata/"


def _tag(retrieval: Retrieval, variant: str) -> str:
    digest = hashlib.sha256(f"{__version__} {variant} ".encode())
    digest.update(retrieval.fingerprint())
    return f'"{digest.hexdigest()[:40]}"'


Make = Callable[[bool, JsonText, bytes], Iterator[bytes]]
"""Makes what is sent of an instance's text: whether it is the first, the text, what its BulkDataURIs begin with."""


def _batches(retrieval: Retrieval, base: str, make: Make) -> Blocks:
    """Give the blocks that ``make`` makes of each instance's text, counted before they are given."""
    records = retrieval.records
    start, size = 0, _BATCH
    while start < len(records):
        batch = records[start : start + size]
        texts = retrieval.json_texts(batch)
        size = min(_BATCH, 2 * len(texts))
        blocks: list[bytes] = []
        begun: list[InstanceRecord] = []
        octets = 0
        for index, record in enumerate(batch[: len(texts)]):
            begun.append(record)
            for block in make(start + index == 0, texts[index], bulk_base(base, record).encode()):
                blocks.append(block)
                octets += len(block)
                if octets >= _BLOCK:
                    retrieval.read(begun or (record,), octets, goes_on=not begun)  # of one study: a path names one
                    yield Pause(retrieval.take_delay())
                    joined = b"".join(blocks)
                    blocks, begun, octets = [], [], 0
                    yield joined
                    del joined
        if blocks:
            retrieval.read(begun or batch[-1:], octets, goes_on=not begun)
            yield Pause(retrieval.take_delay())
            yield b"".join(blocks)
        start += len(texts)


def _plain(retrieval: Retrieval, base: str) -> Blocks:
    def make(is_first: bool, text: JsonText, start: bytes) -> Iterator[bytes]:  # noqa: FBT001 - a callback
        yield b"[" if is_first else b","
        yield from text.parts(start)

    yield from _batches(retrieval, base, make)
    yield b"]"


def _deflated(retrieval: Retrieval, base: str) -> Blocks:
    stream = Deflated()

    def make(is_first: bool, text: JsonText, start: bytes) -> Iterator[bytes]:  # noqa: FBT001 - a callback
        stream.add((_OPEN if is_first else _COMMA, *text.deflated(start)))
        yield stream.take()

    yield from _batches(retrieval, base, make)
    stream.add((_CLOSE,))
    yield stream.take(last=True)


def _xml(retrieval: Retrieval, base: str, writer: MultipartWriter, held: Holding) -> Blocks:
    def make(_is_first: bool, text: JsonText, start: bytes) -> Iterator[bytes]:  # noqa: FBT001 - a callback
        yield writer.part({"Content-Type": DICOM_XML})
        yield from held.pieces(write_native(text.attributes(), start.decode()))

    yield from _batches(retrieval, base, make)
    yield writer.end()
