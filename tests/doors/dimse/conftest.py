"""The archive that the door's tests speak to."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.doors.dimse.house import House, build


@pytest.fixture
def house(tmp_path: Path) -> Generator[House]:
    """Serve an empty archive for one test."""
    with build(tmp_path / "house") as served:
        yield served
