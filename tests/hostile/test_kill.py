"""Killed at any moment, the archive has all that it acknowledged, and nothing else."""

import os
from pathlib import Path

import pytest

from tests.hostile.shim import Disk, build
from tests.hostile.torture import Torture

KILLS = 8
"""``python -m tests.hostile.torture`` does 200, with the web door open."""

KILLS_WITH_WEB = 5

DEATHS = 40 if os.environ.get("LEADGLASS_LONG") else 4


@pytest.mark.parametrize(("seed", "web"), [(4711, False), (4712, True)], ids=["dimse", "dimse-and-web"])
def test_nothing_acknowledged_is_lost_and_nothing_leaks_when_the_archive_is_killed_under_load(
    tmp_path: Path,
    seed: int,
    web: bool,
) -> None:
    torture = Torture(tmp_path, seed, web=web)
    torture.begin()
    try:
        while torture.counts["kills"] < (KILLS_WITH_WEB if web else KILLS):
            torture.round(most=40)
        torture.finish()
    finally:
        torture.close()
    assert torture.counts["C-STORE 0000"] > KILLS
    assert (torture.counts["STOW-RS 0000"] > KILLS_WITH_WEB) == web


def test_nothing_is_lost_when_the_server_dies_at_one_of_its_own_writes_syncs_or_renames(tmp_path: Path) -> None:
    """Most moments lie between two of them; what matters is what is done by then."""
    torture = Torture(tmp_path / "archive", 4713, web=True)
    torture.folder.mkdir()
    torture.begin()
    disk = Disk(build(tmp_path), tmp_path, torture.data)
    try:
        for _ in range(DEATHS):
            torture.die(disk, most=1_200)
        torture.finish()
    finally:
        torture.close()
    assert torture.counts["died at a call"] > 0
