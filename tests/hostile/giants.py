"""Instances of any size that nobody ever holds: their bytes are made while they are sent, and checked as they come.

Rule: a giant is the same bytes each time it is asked for, and no two stretches of it are alike.
"""

import asyncio
import struct
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

from pydicom.dataset import Dataset

from leadglass.dicom import tags
from leadglass.dicom.part10 import file_meta
from leadglass.wire.association import ClientAssociation, Message
from leadglass.wire.client import connect, propose
from leadglass.wire.items import Role
from leadglass.wire.limits import WireLimits
from leadglass.wire.messages import CGetRq, CGetRsp, CStoreRq, CStoreRsp, is_pending
from tests.hostile.images import encode
from tests.hostile.stage import Process
from tests.peers.running import Credentials, Ran, running
from tests.peers.scu import STUDY_GET
from tests.peers.tunnel import client_context
from tests.vault.sets import EXPLICIT, IMPLICIT, encoded

MULTI_FRAME: Final = "1.2.840.10008.5.1.4.1.1.7.3"
JPEG: Final = "1.2.840.10008.1.2.4.50"
BLOCK: Final = 1 << 20
LONGEST: Final = 0xFFFFFFFE
"""Bytes of the longest value that has a length (PS3.5 7.1.1): FFFFFFFF means that it has none."""

_FRAME: Final = 2 * 1024 * 1024
"""Bytes of a native frame: 1024 x 1024 pixels of 16 bit."""

_NOISE: Final = Random(1).randbytes(2 * BLOCK)
PATIENCE: Final = WireLimits(response=1800.0, negotiation=60.0, connect=60.0, release=60.0, write_stall=300.0)


def stretch(number: int, length: int) -> bytes:
    """Give the ``number``-th stretch of pixels, ``length`` bytes, a MiB at most; each is another piece of the noise."""
    at = number * 8_190 % BLOCK
    return struct.pack("<Q", number)[:length] + _NOISE[at : at + max(0, length - 8)]


@dataclass(frozen=True, slots=True)
class Giant:
    """An instance with ``size`` bytes of pixels, native, or encapsulated with a fragment of a MiB for each frame."""

    size: int
    encapsulated: bool = False
    study_uid: str = "2.25.44"

    @property
    def sop_instance_uid(self) -> str:
        """Its SOP Instance UID."""
        return f"{self.study_uid}.1.1"

    @property
    def transfer_syntax_uid(self) -> str:
        """How it is encoded."""
        return JPEG if self.encapsulated else EXPLICIT

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return max(1, self.size // (BLOCK if self.encapsulated else _FRAME))

    def head(self) -> bytes:
        """Give all that comes before the pixels."""
        head = encode(
            [
                (tags.SOPClassUID, "UI", MULTI_FRAME),
                (tags.SOPInstanceUID, "UI", self.sop_instance_uid),
                (tags.StudyDate, "DA", "20260102"),
                (tags.Modality, "CS", "OT"),
                (tags.PatientName, "PN", "Large^Lars"),
                (tags.PatientID, "LO", "L1"),
                (tags.StudyInstanceUID, "UI", self.study_uid),
                (tags.SeriesInstanceUID, "UI", f"{self.study_uid}.1"),
                (tags.InstanceNumber, "IS", "1"),
                (tags.SamplesPerPixel, "US", struct.pack("<H", 1)),
                (tags.PhotometricInterpretation, "CS", "MONOCHROME2"),
                (tags.NumberOfFrames, "IS", str(self.frames)),
                (tags.Rows, "US", struct.pack("<H", 1024)),
                (tags.Columns, "US", struct.pack("<H", 1024)),
                (tags.BitsAllocated, "US", struct.pack("<H", 16)),
            ]
        )
        if not self.encapsulated:
            return head + _long(tags.PixelData, "OW", self.size)
        places = struct.pack(f"<{self.frames}Q", *(number * (BLOCK + 8) for number in range(self.frames)))
        lengths = struct.pack(f"<{self.frames}Q", *(BLOCK for _ in range(self.frames)))
        head += _long(tags.ExtendedOffsetTable, "OV", len(places)) + places
        head += _long(tags.ExtendedOffsetTableLengths, "OV", len(lengths)) + lengths
        return head + _long(tags.PixelData, "OB", 0xFFFFFFFF) + _ITEM + bytes(4)

    def blocks(self) -> Iterator[bytes]:
        """Give the data set, a MiB or so at a time."""
        yield self.head()
        if self.encapsulated:
            for number in range(self.frames):
                yield _ITEM + struct.pack("<I", BLOCK) + stretch(number, BLOCK)
            yield _SEQUENCE_END
            return
        whole, rest = divmod(self.size, BLOCK)
        for number in range(whole):
            yield stretch(number, BLOCK)
        if rest:
            yield stretch(whole, rest)

    def digest(self) -> str:
        """SHA-256 of the data set."""
        digest = sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """Write it as a file of PS3.10."""
        with path.open("wb") as file:
            file.write(file_meta(MULTI_FRAME, self.sop_instance_uid, self.transfer_syntax_uid))
            for block in self.blocks():
                file.write(block)


_ITEM: Final = b"\xfe\xff\x00\xe0"
_SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"


def _long(tag: int, vr: str, length: int) -> bytes:
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)


def digest_of(path: Path, data_set: int) -> str:
    """SHA-256 of a file from ``data_set`` bytes on."""
    digest = sha256()
    with path.open("rb") as file:
        file.seek(data_set)
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


@dataclass(slots=True)
class Taken:
    """What a C-GET brought: digests by SOP Instance UID; a session for ``connect``."""

    digests: dict[str, str] = field(default_factory=dict[str, str])

    async def message(self, association: ClientAssociation, message: Message) -> None:
        """Take one instance without keeping it."""
        command = message.command
        assert isinstance(command, CStoreRq)
        assert message.data is not None
        digest = sha256()
        async for block in message.data:
            digest.update(block)
        self.digests[command.affected_sop_instance_uid] = digest.hexdigest()
        await association.send(message.context.id, command.response(0))


def put(giant: Giant, port: int, calling: str, credentials: Credentials) -> int:
    """C-STORE it over TLS; gives the status."""

    async def blocks() -> AsyncGenerator[bytes, None]:
        for block in giant.blocks():
            yield block

    async def scene() -> int:
        contexts = propose((MULTI_FRAME, [giant.transfer_syntax_uid]))
        async with connect(
            "127.0.0.1",
            port,
            calling=calling,
            called="LEADGLASS",
            contexts=contexts,
            tls=client_context(credentials),
            limits=PATIENCE,
        ) as association:
            [accepted] = association.accepted(MULTI_FRAME)
            request = CStoreRq(
                message_id=1, affected_sop_class_uid=MULTI_FRAME, affected_sop_instance_uid=giant.sop_instance_uid
            )
            answer = await association.call(accepted.id, request, blocks())
            assert isinstance(answer.command, CStoreRsp)
            return answer.command.status

    return asyncio.run(scene())


def get(giant: Giant, port: int, calling: str, credentials: Credentials) -> dict[str, str]:
    """C-GET its study over TLS; gives digests by SOP Instance UID."""
    keys = Dataset()
    keys.QueryRetrieveLevel = "STUDY"
    keys.StudyInstanceUID = giant.study_uid
    return retrieve(keys, (MULTI_FRAME, giant.transfer_syntax_uid), port, calling, credentials)


def retrieve(
    keys: Dataset, wanted: tuple[str, str], port: int, calling: str, credentials: Credentials
) -> dict[str, str]:
    """C-GET over TLS what is of one SOP class and transfer syntax; gives digests by SOP Instance UID."""
    taken = Taken()
    sop_class, syntax = wanted

    async def scene() -> int:
        contexts = propose((STUDY_GET, [IMPLICIT]), (sop_class, [syntax]))
        async with connect(
            "127.0.0.1",
            port,
            calling=calling,
            called="LEADGLASS",
            contexts=contexts,
            roles={sop_class: Role(scu=True, scp=True)},
            tls=client_context(credentials),
            limits=PATIENCE,
            session=taken,
        ) as association:
            request = CGetRq(message_id=1, affected_sop_class_uid=STUDY_GET)
            async for answer in association.exchange(1, request, encoded(keys, IMPLICIT)):
                assert isinstance(answer.command, CGetRsp)
                if not is_pending(answer.command.status):
                    return answer.command.status
            raise AssertionError("the last answer is not pending")

    assert asyncio.run(scene()) == 0
    return taken.digests


def run_and_weigh(command: list[str | Path], log: Path) -> tuple[Ran, int]:
    """Run a program to its end; gives what it said, and the most memory it had resident, in bytes."""
    peak = 0
    with running(command, log=log) as process:
        while process.poll() is None:
            with suppress(AssertionError, OSError):  # it has just ended
                peak = max(peak, Process(process.pid).peak)
            time.sleep(0.02)
    return Ran(process.returncode, log.read_text(encoding="utf-8", errors="replace"), ""), peak
