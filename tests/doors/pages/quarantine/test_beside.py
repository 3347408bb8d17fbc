"""Comparing what waits with what is stored costs so much and no more, whatever both hold."""

from typing import Self, cast

from leadglass.archive.backroom import BackRoom, Kept, Reader
from leadglass.archive.quarantine import Look, Sight
from leadglass.dicom.model import Attributes, bulk_uri
from leadglass.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from leadglass.doors.pages.quarantine.beside import beside
from leadglass.policy.permit import Permit

EACH = 64 << 20


class _Zeros:
    """Reads as zeros, and counts."""

    def __init__(self) -> None:
        self.taken = 0

    def read_at(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        self.taken += length
        return bytes(length)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _Room:
    def __init__(self) -> None:
        self.zeros = _Zeros()

    def open_kept(self, permit: object, number: object) -> Reader:
        assert permit is None
        assert number
        return cast("Reader", self.zeros)


def test_of_many_long_values_only_the_first_are_compared_byte_by_byte() -> None:
    room = _Room()
    attributes: Attributes = {
        f"0009{number:04X}": {"vr": "OB", "BulkDataURI": bulk_uri(number * EACH, EACH)} for number in range(0x10, 0x40)
    }
    sight = Sight(EXPLICIT_VR_LITTLE_ENDIAN, attributes, None, cast("BackRoom", room), cast("Permit", None), 1)
    compared = beside(Look(cast("Kept", None), sight, sight))
    assert compared.differences == ()
    assert 0 < room.zeros.taken <= 2 * 256 << 20
