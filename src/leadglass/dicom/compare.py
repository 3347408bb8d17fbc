"""Compare: whether two data sets hold the same content although their bytes differ.

Rule: values are compared as bytes of Little Endian; only what the Standard calls
insignificant is left out: group lengths, the encoding of lengths, padding.
"""

from typing import Final

from leadglass.dicom import dictionary, tags
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes, JsonElement, bulk_location
from leadglass.dicom.recode import RawDataSet, is_binary, sequence_in
from leadglass.dicom.source import ReadAt

_BLOCK: Final = 1 << 20
_PADDING: Final = tags.key(tags.DataSetTrailingPadding)


def difference(a: ReadAt, a_ts: str, b: ReadAt, b_ts: str, limits: Limits) -> str | None:
    """Give the keyword of the first element that differs; None when the content is the same.

    Group lengths, the encoding of sequence lengths, padding, byte order and
    Implicit against Explicit VR do not count; encapsulated pixel data is
    compared as stored.

    Parameters
    ----------
    a, b : ReadAt
        The data sets as stored.
    a_ts, b_ts : str
        Their transfer syntaxes.
    limits : Limits
        What reading each may cost.

    Raises
    ------
    BadInput
        When one of them cannot be read.
    """
    return _Comparison(RawDataSet(a, a_ts, limits), RawDataSet(b, b_ts, limits), limits).first_difference()


class _Comparison:
    __slots__ = ("_a", "_b", "_limits")

    def __init__(self, a: RawDataSet, b: RawDataSet, limits: Limits) -> None:
        self._a = a
        self._b = b
        self._limits = limits

    def first_difference(self) -> str | None:
        tag = self._data_set(self._a.reading.attributes, self._b.reading.attributes)
        return None if tag is None else dictionary.keyword(int(tag, 16))

    def _data_set(self, a: Attributes, b: Attributes) -> str | None:
        for tag in sorted((a.keys() | b.keys()) - {_PADDING}):
            if tag not in a or tag not in b:
                return tag
            inner = self._element(tag, a, b)
            if inner is not None:
                return inner
        return None

    def _element(self, tag: str, a: Attributes, b: Attributes) -> str | None:
        """Give the tag that differs in or below an element that both have."""
        if "SQ" not in (a[tag]["vr"], b[tag]["vr"]):
            return None if self._is_same(tag, a, b) else tag
        mine, theirs = self._items(self._a, a[tag]), self._items(self._b, b[tag])
        if mine is None or theirs is None or len(mine) != len(theirs):
            return tag
        for one, other in zip(mine, theirs, strict=True):
            inner = self._data_set(one, other)
            if inner is not None:
                return inner
        return None

    def _items(self, data_set: RawDataSet, element: JsonElement) -> list[Attributes] | None:
        if element["vr"] == "SQ":
            return data_set.items(element)
        raw = data_set.value(element)
        return sequence_in(raw, self._limits) if raw else []

    def _is_same(self, tag: str, in_a: Attributes, in_b: Attributes) -> bool:
        a, b = in_a[tag], in_b[tag]
        is_same_order = self._a.is_big_endian == self._b.is_big_endian
        is_same_order = is_same_order and self._a.word(tag, in_a) == self._b.word(tag, in_b)
        if "BulkDataURI" in a and "BulkDataURI" in b and is_same_order:
            here, there = bulk_location(a["BulkDataURI"]), bulk_location(b["BulkDataURI"])
            if here is not None and there is not None and here[1] == there[1]:
                return self._is_same_bulk(here, there)
        mine, theirs = self._a.little_endian(tag, in_a), self._b.little_endian(tag, in_b)
        if mine == theirs:
            return True
        if is_binary(a["vr"]) and is_binary(b["vr"]) and "UN" not in (a["vr"], b["vr"]):
            shorter, longer = sorted((mine, theirs), key=len)
            return len(shorter) % 2 == 1 and longer == shorter + b"\0"
        return mine.rstrip(b" \0") == theirs.rstrip(b" \0")

    def _is_same_bulk(self, a: tuple[int, int], b: tuple[int, int]) -> bool:
        """Compare long values of one byte order block by block."""
        length = a[1]
        return all(
            self._a.source.read_at(a[0] + at, min(_BLOCK, length - at))
            == self._b.source.read_at(b[0] + at, min(_BLOCK, length - at))
            for at in range(0, length, _BLOCK)
        )
