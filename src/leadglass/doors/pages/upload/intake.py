"""Files of one request on their way in: DICOM files to the archive as STOW-RS hands them on, ZIPs unpacked here.

Rule 1. What a file is, its first bytes say, not its name or its sender. Rule 2. A
ZIP lies sealed in a file without a name until it is unpacked, and nothing of it is
unpacked to the disk. Rule 3. One bad file is answered with its reason and stops no
other. Rule 4. A name is only ever shown, to whoever sent it.
"""

import asyncio
import io
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Event
from time import monotonic
from typing import BinaryIO, Final, cast

from starlette.requests import Request

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import Draft, Reader
from leadglass.doors.dicomweb.multipart import PartBegins, PartData, PartEnds, PartEvent
from leadglass.doors.dicomweb.stow_intake import Courier, Files
from leadglass.doors.dicomweb.stow_share import Share
from leadglass.doors.importing import Tally, import_sources
from leadglass.doors.pages.upload.results import Outcome, refused, result_of, unpacked
from leadglass.doors.sources import SENT_ZIP_DIRECTORY, is_zip, members
from leadglass.doors.threads import Threads
from leadglass.doors.web.begun import FORM, blocks_of, field_name, file_name, reader_of
from leadglass.doors.web.forms import media_type
from leadglass.doors.web.problem import HttpFault
from leadglass.errors import BadInput, Busy, LeadglassError
from leadglass.policy.caller import Caller

_SIGNATURE: Final = 4
_PIECE: Final = 1 << 20
"""Bytes of a ZIP that are gathered for a hop to a thread."""
_READERS: Final = 2
"""Threads that read members of one ZIP."""
_UNPACKING: Final = 2
"""ZIPs unpacked at one time."""
MOST_ZIPS: Final = 256
"""ZIPs that lie somewhere at one time, of all who send: each holds a file open, and a process has so many."""
MOST_ZIPS_OF_ONE: Final = 96
"""Of them, those of one caller: three requests of the page's script, with nothing but ZIPs."""
_LOOK_AGAIN: Final = 0.5
"""Seconds after which it is looked up again whether somebody may still send."""
_DICOM: Final = "application/dicom"
BODIES: Final = (_DICOM, "application/octet-stream", "application/zip")
"""What a body of one file may be called; all are treated alike."""


class Spools:
    """How many ZIPs lie somewhere until they are unpacked. Lives on the event loop."""

    def __init__(self, most: int = MOST_ZIPS, most_of_one: int = MOST_ZIPS_OF_ONE) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._held: Counter[str] = Counter()

    def take(self, caller: str) -> None:
        """Count one more; raises ``Busy`` when there are too many."""
        if self._held.total() >= self._most or self._held[caller] >= self._most_of_one:
            raise Busy("Too many ZIPs wait to be unpacked at this time. Send it again when others are done.")
        self._held[caller] += 1

    def release(self, caller: str) -> None:
        """Count one less."""
        self._held[caller] -= 1
        self._held += Counter()  # drops who has none


@dataclass(slots=True)
class _Zip:
    """A ZIP that was sent."""

    name: str
    draft: Draft
    waiting: list[bytes] = field(default_factory=list[bytes])
    size: int = 0
    failure: LeadglassError | None = None
    is_counted: bool = False


class Upload:
    """One request that sends files.

    Parameters
    ----------
    archive : Archive
        Where to.
    caller : Caller
        Who sends.
    threads : Threads
        Where the archive is called.
    share : Share
        What may be held in memory.
    unpacking : Semaphore
        Taken by who unpacks.
    spools : Spools
        Where ZIPs are counted.
    goes_on : callable, optional
        Told of each member of a ZIP how many bytes it has; says whether more of them are taken.
    look_again : callable, optional
        Called now and then while files come, which may take hours; what it raises ends the request.
    """

    def __init__(
        self,
        archive: Archive,
        caller: Caller,
        threads: Threads,
        share: Share,
        unpacking: asyncio.Semaphore,
        spools: Spools,
        goes_on: Callable[[int], bool] | None = None,
        look_again: Callable[[], object] | None = None,
    ) -> None:
        self._goes_on = goes_on
        self._look_again = look_again
        self._looked = monotonic()
        self._archive = archive
        self._caller = caller
        self._threads = threads
        self._unpacking = unpacking
        self._spools = spools
        self._files = Files(Courier(archive, caller, ""), threads, share, _DICOM)
        self._order: list[str | _Zip] = []
        """Of each file its name, or the ZIP that it is."""
        self._name: str | None = None
        self._first = b""
        self._zip: _Zip | None = None
        self._has_begun = False
        self._stop = Event()
        self._is_closing = False
        self.members_done = 0
        """Members of ZIPs that were dealt with."""

    async def receive(self, request: Request) -> None:
        """Take the body of a request.

        Raises
        ------
        Denied
            When the caller may send nothing in.
        HttpFault, Malformed, TooManyParts
            When it is no body of files.
        """
        await self._threads.run(Courier(self._archive, self._caller, "").ask)
        if media_type(request) in BODIES:
            await self._begin("")
            async for block in blocks_of(request):
                await self._look()
                await self._take(block)
            await self._end()
            return
        if media_type(request) != FORM:
            raise HttpFault(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send files as {FORM}, or one file as {_DICOM}.")
        reader = reader_of(request)
        async for block in blocks_of(request):
            await self._look()
            for event in reader.feed(block):
                await self._part(event)
        for event in reader.finish():
            await self._part(event)

    async def _look(self) -> None:
        """Find out now and then whether the sender may still send."""
        if self._look_again is not None and monotonic() - self._looked >= _LOOK_AGAIN:
            self._looked = monotonic()
            await self._threads.run(self._look_again)

    async def _part(self, event: PartEvent) -> None:
        match event:
            case PartBegins(headers):
                name = file_name(headers)
                if name is None or (not name and field_name(headers) != "file"):
                    self._name = None  # a field like the token; a form without a chosen file has one without a name
                else:
                    await self._begin(name)
            case PartData(data):
                if self._name is not None:
                    await self._take(data)
            case PartEnds():
                if self._name is not None:
                    await self._end()

    # --- one file -----------------------------------------------------------------

    async def _begin(self, name: str) -> None:
        self._name, self._first, self._zip, self._has_begun = name, b"", None, False

    async def _take(self, data: bytes) -> None:
        if not self._has_begun:
            self._first += data
            if len(self._first) < _SIGNATURE:
                return
            data, self._first = self._first, b""
            await self._choose(data)
        if self._zip is None:
            await self._files.take(data)
        else:
            await self._keep(self._zip, data)

    async def _choose(self, beginning: bytes) -> None:
        self._has_begun = True
        name = self._name or ""
        if is_zip(beginning):
            self._zip = _Zip(name, await self._threads.run(self._archive.draft, self._caller))
            self._order.append(self._zip)
            try:
                self._spools.take(str(self._caller))
                self._zip.is_counted = True
            except Busy as error:
                self._zip.failure = error
        else:
            self._order.append(name)
            await self._files.begin({})

    async def _keep(self, spool: _Zip, data: bytes) -> None:
        if spool.failure is not None:
            return
        spool.waiting.append(data)
        spool.size += len(data)
        if spool.size >= _PIECE:
            await self._write(spool)

    async def _write(self, spool: _Zip) -> None:
        blocks, spool.waiting, spool.size = spool.waiting, [], 0
        try:
            await self._threads.run(spool.draft.write, *blocks)
        except LeadglassError as error:
            spool.failure = error
            self._forget(spool)

    def _forget(self, spool: _Zip) -> None:
        spool.draft.abort()
        self._let_go(spool)

    def _let_go(self, spool: _Zip) -> None:
        if spool.is_counted:
            spool.is_counted = False
            self._spools.release(str(self._caller))

    async def _end(self) -> None:
        if not self._has_begun:
            if not self._first and not self._name:
                self._name = None  # the field of a form in which no file was chosen
                return
            data, self._first = self._first, b""
            await self._choose(data)
            if data:
                await self._files.take(data)
        if self._zip is None:
            await self._files.end()
        elif self._zip.waiting and self._zip.failure is None:
            await self._write(self._zip)
        self._name = None

    # --- what became of them --------------------------------------------------------

    async def close(self) -> list[Outcome]:
        """Commit what is to be committed and unpack the ZIPs; gives what became of each file, in their order."""
        self._is_closing = True
        try:
            became = iter(await self._files.close())
            return [
                await self._unpack(each) if isinstance(each, _Zip) else result_of(each, next(became))
                for each in self._order
            ]
        finally:
            for each in self._order:
                if isinstance(each, _Zip):
                    self._forget(each)

    async def _unpack(self, spool: _Zip) -> Outcome:
        if spool.failure is not None:
            return refused(spool.name, spool.failure)
        async with self._unpacking:
            if self._stop.is_set():
                return refused(
                    spool.name, BadInput("It was not unpacked: sending was broken off, or the link takes no more.")
                )
            try:
                tally = await self._threads.run(self._import, spool)
            except LeadglassError as error:
                return refused(spool.name, error)
            finally:
                self._let_go(spool)
        return unpacked(spool.name, tally)

    def _import(self, spool: _Zip) -> Tally:
        reader = spool.draft.finish()
        whole = cast("BinaryIO", io.BufferedReader(_Whole(reader), _PIECE))
        try:
            return import_sources(
                self._archive,
                self._caller,
                members(spool.name, whole, most_directory=SENT_ZIP_DIRECTORY),
                threads=_READERS,
                done=self._count,
                stop=self._stop,
            )
        finally:
            whole.close()

    def _count(self, octets: int) -> None:
        self.members_done += 1
        if self._goes_on is not None and not self._goes_on(octets):
            self._stop.set()

    async def abandon(self) -> None:
        """Forget what is not committed; what is being unpacked ends after the member that it is at."""
        self._stop.set()
        await self._files.abandon()
        # Once closing has begun a thread may write to a ZIP's file: closing lets go of them, and nobody else, or the
        # thread would write to what has the descriptor next.
        if not self._is_closing:
            for each in self._order:
                if isinstance(each, _Zip):
                    self._forget(each)


async def progress(upload: Upload, became: "asyncio.Task[list[Outcome]]", every: float) -> AsyncGenerator[int]:
    """Give, now and then, how many members were dealt with, until all is done."""
    while not became.done():
        await asyncio.wait({became}, timeout=every)
        if not became.done():
            yield upload.members_done


def unpacking() -> asyncio.Semaphore:
    """Give what lets so many unpack at one time."""
    return asyncio.Semaphore(_UNPACKING)


class _Whole(io.RawIOBase):
    """A sealed draft as a file that can be read anywhere; for one thread at a time, as ``zipfile`` sees to."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self._reader = reader
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._reader.size}[whence]
        if start + offset < 0:
            raise OSError("negative seek")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        try:
            data = self._reader.read_at(self._at, len(buffer))
        except BadInput as error:
            raise OSError("unreadable") from error
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._reader.close()
        super().close()
