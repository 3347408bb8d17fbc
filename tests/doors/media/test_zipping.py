"""A ZIP that is made while it is sent: whole or broken off, in small pieces, and without what is damaged."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from leadglass.archive.backroom import Selection
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom.matching import Level
from leadglass.doors.dicomweb.pumping import Pause
from leadglass.doors.media.zipping import LEFT_OUT, zipped
from leadglass.errors import Corrupt
from leadglass.policy.action import Action
from tests.callers import device
from tests.doors.dicomweb.wadohouse import WadoHouse, opened
from tests.vault.sets import EXPLICIT, data_set, encoded

LARGE = 3_000


@pytest.fixture
def house(tmp_path: Path) -> Iterator[WadoHouse]:
    with opened(tmp_path) as house:
        noise = np.random.default_rng(1).integers(0, 1 << 16, (LARGE, LARGE), dtype="<u2").tobytes()
        for number, rows, pixels in ((1, LARGE, noise), (2, 8, bytes(128)), (3, 8, bytes(128))):
            made = data_set(SOPInstanceUID=f"1.2.3.4.1.{number}", Rows=rows, Columns=rows, PixelData=pixels)
            house.store(encoded(made), EXPLICIT)
        yield house


def _retrieve(house: WadoHouse) -> Retrieval:
    caller = device("READER", Action.EXPORT)
    return house.archive.retrieve(caller, Action.EXPORT, Level.STUDY, Selection(study_uids=("1.2.3.4",)))


def _objects(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "objects").rglob("*") if path.is_file() and path.stat().st_size)


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_large_study_is_sent_in_small_pieces(house: WadoHouse) -> None:
    pieces = [block for block in zipped(_retrieve(house)) if not isinstance(block, Pause)]
    assert max(map(len, pieces)) < 4 << 20, "an instance of 18 MB is never held whole"
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as packed:
        assert packed.testzip() is None
        assert len(packed.namelist()) == 4
        assert packed.getinfo("DICOM/ST000001/SE000001/IM000001").file_size > 2 * LARGE * LARGE


def test_what_is_damaged_is_left_out_and_named(house: WadoHouse, tmp_path: Path) -> None:
    largest = max(_objects(tmp_path), key=lambda path: path.stat().st_size)
    _damage(largest)
    packed = zipfile.ZipFile(io.BytesIO(b"".join(b for b in zipped(_retrieve(house)) if isinstance(b, bytes))))
    assert packed.testzip() is None
    assert "1.2.3.4.1.1: " in packed.read(LEFT_OUT).decode()
    assert sum(name.startswith("DICOM/") for name in packed.namelist()) == 2


def test_where_nothing_can_be_read_there_is_no_zip(house: WadoHouse, tmp_path: Path) -> None:
    for path in _objects(tmp_path):
        _damage(path)
    with pytest.raises(Corrupt):
        list(zipped(_retrieve(house)))
