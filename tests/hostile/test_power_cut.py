"""After a power cut, which loses what was not synced and keeps some of it at random, nothing acknowledged is lost."""

import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.hostile.shim import Disk, build
from tests.hostile.torture import Torture

CUTS = 25 if os.environ.get("LEADGLASS_LONG") else 2


@pytest.fixture
def memory(tmp_path: Path) -> Generator[Path]:
    """Give a folder in memory where there is one: each round copies the archive."""
    shm = Path("/dev/shm")
    if not shm.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        yield Path(folder)


@pytest.mark.parametrize("strict", [True, False], ids=["nothing else was written", "some of the rest was written"])
def test_what_was_acknowledged_survives_a_power_cut(tmp_path: Path, memory: Path, strict: bool) -> None:
    torture = Torture(memory, 31 + strict)
    torture.begin()
    disk = Disk(build(tmp_path), memory, torture.data)
    try:
        for _ in range(CUTS):
            torture.cut(disk, strict=strict, most=60)
        torture.finish()
    finally:
        torture.close()
    assert torture.counts["C-STORE 0000"] > CUTS
