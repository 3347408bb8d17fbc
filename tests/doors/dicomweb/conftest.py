"""The archive that the tests of DICOMweb store into."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.doors.dicomweb.stowhouse import StowHouse, opened


@pytest.fixture
def stow(tmp_path: Path) -> Generator[StowHouse]:
    """Open an empty archive behind the Store transaction."""
    with opened(tmp_path / "stow") as house:
        yield house
