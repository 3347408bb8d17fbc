"""Killed at any moment, the archive has all that it acknowledged, and nothing else."""

from pathlib import Path

import pytest

from tests.hostile.torture import Torture

KILLS = 20
"""In CI; ``python -m tests.hostile.torture`` does 200 and says the seed, too."""


@pytest.mark.parametrize("seed", [4711, 4712])
def test_nothing_acknowledged_is_lost_and_nothing_leaks_when_the_archive_is_killed_under_load(
    tmp_path: Path, seed: int
) -> None:
    torture = Torture(tmp_path, seed)
    torture.begin()
    try:
        while torture.counts["kills"] < KILLS // 2:
            torture.round(most=40)
        torture.finish()
    finally:
        torture.close()
    assert torture.counts["C-STORE 0000"] > KILLS
