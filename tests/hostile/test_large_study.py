"""Large studies and many at once: one study of a hundred thousand instances, fifty associations at one time.

In CI the study has two thousand instances; ``LEADGLASS_LONG=1`` makes them a hundred thousand, which takes minutes.
"""

import asyncio
import os
import sys
import time
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

import pytest
from pydicom.dataset import Dataset

from benchmarks.made_up import Study, study
from leadglass.wire.client import connect, propose
from leadglass.wire.messages import CFindRq, CFindRsp, CStoreRq, CStoreRsp, is_pending
from tests.hostile.giants import PATIENCE, retrieve, run_and_weigh
from tests.hostile.images import Image, image
from tests.hostile.stage import Process, assert_nothing_is_wrong
from tests.peers.leadglass import Doors, Leadglass
from tests.peers.running import Credentials
from tests.peers.scu import STUDY_FIND
from tests.peers.tunnel import client_context
from tests.vault.sets import CT, EXPLICIT, IMPLICIT, encoded

LONG: Final = os.environ.get("LEADGLASS_LONG") == "1"
INSTANCES: Final = 100_000 if LONG else 2_000
MEMORY: Final = 300_000_000
"""Bytes that a process may have resident, whatever the size of the study."""

ASSOCIATIONS: Final = 50
EACH: Final = 4
"""Instances that each of them stores."""


def of_kind_ct() -> Study:
    return next(each for each in map(study, range(100)) if each.kind == 0)


LARGE: Final = of_kind_ct()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Leadglass, Credentials]:
    """Give an archive with one large study, imported, and a device that may read it."""
    folder = tmp_path_factory.mktemp("large")
    lead = Leadglass(folder)
    lead.do("init")
    station = lead.enroll("STATION", bulk="a large study")
    files = folder / "files"
    for which in range(INSTANCES):
        path = files / f"{which // 1000}"
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{which}.dcm").write_bytes(LARGE.file(which))
    begun = time.perf_counter()
    ran, peak = run_and_weigh(command(lead, "import", files), folder / "import.log")
    assert ran.code == 0, ran.said
    told(f"import of {INSTANCES}", begun, peak)
    assert peak < MEMORY
    return lead, station


def command(lead: Leadglass, *arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "leadglass", *arguments, "--data", lead.data]


def told(what: str, begun: float, peak: int) -> None:
    """Say figures, for whoever runs the long version."""
    sys.stdout.write(f"{what}: {time.perf_counter() - begun:.1f} s, {peak / 1e6:.0f} MB\n")


def uids_of(which: range) -> list[str]:
    return [str(LARGE.attributes(number)["00080018"].get("Value", [""])[0]) for number in which]


def keys_of(level: str, **more: object) -> Dataset:
    keys = Dataset()
    keys.QueryRetrieveLevel = level
    for keyword, value in {"StudyInstanceUID": LARGE.uid, **more}.items():
        setattr(keys, keyword, value)
    return keys


async def find(doors: Doors, station: Credentials, keys: Dataset, *, at_most: int = 0) -> tuple[int, float]:
    """C-FIND; gives the number of matches and the seconds to the first. After ``at_most`` it is cancelled."""
    async with connect(
        "127.0.0.1",
        doors.tls[1],
        calling="STATION",
        called="LEADGLASS",
        contexts=propose((STUDY_FIND, [IMPLICIT])),
        tls=client_context(station),
        limits=PATIENCE,
    ) as association:
        request = CFindRq(message_id=1, affected_sop_class_uid=STUDY_FIND)
        begun, first, matches = time.perf_counter(), 0.0, 0
        async for answer in association.exchange(1, request, encoded(keys, IMPLICIT)):
            assert isinstance(answer.command, CFindRsp)
            await answer.discard()
            if not is_pending(answer.command.status):
                assert answer.command.status == 0
                break
            first = first or time.perf_counter() - begun
            matches += 1
            if matches == at_most:
                break
        return matches, first


def test_a_large_study_is_listed_and_some_of_it_retrieved_with_little_memory(
    large: tuple[Leadglass, Credentials],
) -> None:
    lead, station = large
    with lead.serve() as doors:
        process = Process(doors.pid)
        every = keys_of("IMAGE", SeriesInstanceUID=f"{LARGE.uid}.2", SOPInstanceUID="", InstanceNumber=None, Rows=None)
        begun = time.perf_counter()
        matches, first = asyncio.run(find(doors, station, every))
        assert matches == INSTANCES - 5
        told(f"all listed, the first after {first:.3f} s", begun, process.peak)
        assert asyncio.run(find(doors, station, every, at_most=10))[0] == 10
        begun = time.perf_counter()
        some = range(INSTANCES // 2, INSTANCES // 2 + 20)
        named = keys_of("IMAGE", SeriesInstanceUID=f"{LARGE.uid}.2", SOPInstanceUID=uids_of(some))
        got = retrieve(named, (CT, EXPLICIT), doors.tls[1], "STATION", station)
        assert got == {
            uid: sha256(LARGE.encoded(which)).hexdigest() for uid, which in zip(uids_of(some), some, strict=True)
        }
        told("twenty retrieved by their UIDs", begun, process.peak)
        assert process.peak < MEMORY
    assert_nothing_is_wrong(lead.log.read_text(encoding="utf-8"))


def test_a_large_study_is_checked_exported_and_deleted_with_little_memory(
    large: tuple[Leadglass, Credentials], tmp_path: Path
) -> None:
    lead, _ = large
    out = tmp_path / "out"
    of_it = ("--study", LARGE.uid)
    for what in (("fsck",), ("export", *of_it, "--out", str(out)), ("delete", *of_it, "--yes"), ("fsck",)):
        begun = time.perf_counter()
        ran, peak = run_and_weigh(command(lead, *what), tmp_path / "ran.log")
        assert ran.code == 0, ran.said
        told(what[0], begun, peak)
        assert peak < MEMORY, f"{what[0]}: {peak / 1e6:.0f} MB"
    assert sum(1 for path in out.rglob("*") if path.is_file()) == INSTANCES + 1  # and the DICOMDIR


def test_fifty_associations_at_once_store_and_query_and_nothing_is_lost(tmp_path: Path) -> None:
    lead = Leadglass(tmp_path)
    lead.do("init")
    station = lead.enroll("STATION", bulk="many at once")
    draw = Random(5)
    images = [[image(draw, f"2.25.5{who}", n, sizes=(20_000,)) for n in range(EACH)] for who in range(ASSOCIATIONS)]

    async def one(doors: Doors, own: list[Image], meet: asyncio.Barrier) -> int:
        async with connect(
            "127.0.0.1",
            doors.tls[1],
            calling="STATION",
            called="LEADGLASS",
            contexts=propose((CT, [EXPLICIT]), (STUDY_FIND, [IMPLICIT])),
            tls=client_context(station),
            limits=PATIENCE,
        ) as association:
            await meet.wait()  # all of them are open
            for each in own:
                request = CStoreRq(
                    message_id=association.next_message_id(),
                    affected_sop_class_uid=CT,
                    affected_sop_instance_uid=each.sop_instance_uid,
                )
                answer = await association.call(1, request, each.data)
                assert isinstance(answer.command, CStoreRsp)
                assert answer.command.status == 0
            keys = Dataset()
            keys.QueryRetrieveLevel = "SERIES"
            keys.StudyInstanceUID = own[0].study_uid
            keys.NumberOfSeriesRelatedInstances = None
            matches = 0
            query = CFindRq(message_id=association.next_message_id(), affected_sop_class_uid=STUDY_FIND)
            async for found in association.exchange(3, query, encoded(keys, IMPLICIT)):
                await found.discard()
                matches += isinstance(found.command, CFindRsp) and is_pending(found.command.status)
            return matches

    async def scene(doors: Doors) -> list[int]:
        meet = asyncio.Barrier(ASSOCIATIONS)
        return await asyncio.gather(*(one(doors, own, meet) for own in images))

    with lead.serve() as doors:
        assert asyncio.run(scene(doors)) == [1] * ASSOCIATIONS
        for own in images[::10]:
            keys = Dataset()
            keys.QueryRetrieveLevel = "STUDY"
            keys.StudyInstanceUID = own[0].study_uid
            got = retrieve(keys, (CT, EXPLICIT), doors.tls[1], "STATION", station)
            assert got == {each.sop_instance_uid: each.digest.hex() for each in own}
    assert_nothing_is_wrong(lead.log.read_text(encoding="utf-8"))
    ran, _ = run_and_weigh(command(lead, "fsck"), tmp_path / "fsck.log")
    assert ran.code == 0, ran.said
