"""Large: an instance of gigabytes, a study of a hundred thousand instances, fifty associations at once.

In CI they are small enough for its clock; ``LEADGLASS_LONG=1`` runs them in the size that is promised, which takes
minutes and some 25 GB of disk.
"""

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from leadglass.dicom.ingest import Limits, describe
from leadglass.dicom.part10 import read_file
from leadglass.dicom.source import Bytes
from leadglass.errors import BadInput
from tests.hostile.giants import BLOCK, LONGEST, Giant, digest_of, get, put, run_and_weigh
from tests.hostile.stage import Process, assert_nothing_is_wrong
from tests.peers.leadglass import Leadglass
from tests.vault.sets import EXPLICIT

LONG: Final = os.environ.get("LEADGLASS_LONG") == "1"
MEMORY: Final = 300_000_000 if LONG else 170_000_000
"""Bytes that a process may have resident, whatever the size of what goes through it: in CI too little to hold it."""

NATIVE: Final = Giant(LONGEST if LONG else 128 << 20)
ENCAPSULATED: Final = Giant(4_300 << 20 if LONG else 24 << 20, encapsulated=True)


@pytest.fixture
def lead(tmp_path: Path) -> Generator[Leadglass]:
    """Give an archive; what it holds is taken away afterwards, because it is large."""
    lead = Leadglass(tmp_path)
    lead.do("init")
    yield lead
    for path in sorted(tmp_path.rglob("*"), reverse=True):
        if path.is_file() and path.stat().st_size > BLOCK:
            path.unlink()


def command(lead: Leadglass, *arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "leadglass", *arguments, "--data", lead.data]


@pytest.mark.parametrize("giant", [NATIVE, ENCAPSULATED], ids=["native", "encapsulated"])
def test_a_giant_comes_in_and_goes_out_with_little_memory(lead: Leadglass, giant: Giant) -> None:
    station = lead.enroll("STATION", bulk="large instances")
    digest = giant.digest()
    with lead.serve() as doors:
        process = Process(doors.pid)
        assert put(giant, doors.tls[1], "STATION", station) == 0
        stored = process.peak
        assert get(giant, doors.tls[1], "STATION", station) == {giant.sop_instance_uid: digest}
        assert stored < MEMORY, f"{stored / 1e6:.0f} MB while it was stored"
        assert process.peak < MEMORY, f"{process.peak / 1e6:.0f} MB while it was retrieved"
    assert_nothing_is_wrong(lead.log.read_text(encoding="utf-8"))


@pytest.mark.parametrize("giant", [NATIVE, ENCAPSULATED], ids=["native", "encapsulated"])
def test_a_giant_is_imported_checked_and_exported_with_little_memory(
    lead: Leadglass, tmp_path: Path, giant: Giant
) -> None:
    digest = giant.digest()
    file = tmp_path / "giant.dcm"
    giant.write(file)
    ran, peak = run_and_weigh(command(lead, "import", file), tmp_path / "import.log")
    assert ran.code == 0, ran.said
    assert peak < MEMORY, f"import: {peak / 1e6:.0f} MB"
    file.unlink()
    out = tmp_path / "out"
    for what in (["export", "--study", giant.study_uid, "--out", out], ["fsck"]):
        ran, peak = run_and_weigh(command(lead, *what), tmp_path / "ran.log")
        assert ran.code == 0, ran.said
        assert peak < MEMORY, f"{what[0]}: {peak / 1e6:.0f} MB"
    [exported] = [path for path in out.rglob("*") if path.is_file() and path.stat().st_size > BLOCK]
    with exported.open("rb") as opened:
        start = read_file(Bytes(opened.read(BLOCK))).dataset_offset
    assert digest_of(exported, start) == digest


class Virtual:
    """A data set of which only the beginning is anywhere: what follows is zeros."""

    def __init__(self, head: bytes, size: int) -> None:
        self._head = head
        self.size = size
        self.read = 0

    def read_at(self, offset: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``offset``."""
        length = max(0, min(length, self.size - offset))
        self.read += length
        known = self._head[offset : offset + length]
        return known + bytes(length - len(known))


def test_the_longest_value_that_has_a_length_is_read_by_its_place() -> None:
    giant = Giant(LONGEST)
    head = giant.head()
    source = Virtual(head, len(head) + LONGEST)
    described = describe(source, EXPLICIT, Limits())
    assert described.frames is not None
    assert described.frames.number_of_frames == giant.frames == 2047
    [(last, length)] = described.frames.parts(2046)
    assert last + length == len(head) + 2047 * (2 << 20)
    assert source.read < 1 << 20


@pytest.mark.parametrize(
    ("length", "there"), [(LONGEST, LONGEST - 1), (0xFFFFFFFF, LONGEST), (LONGEST, 0)], ids=["short", "none", "empty"]
)
def test_a_value_that_is_not_as_long_as_it_says_is_refused_without_looking_for_it(length: int, there: int) -> None:
    giant = Giant(LONGEST)
    head = giant.head()[:-4] + length.to_bytes(4, "little")
    source = Virtual(head, len(head) + there)
    with pytest.raises(BadInput):
        describe(source, EXPLICIT, Limits())
    assert source.read < 1 << 20
