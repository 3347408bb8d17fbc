"""Compose: checked attributes and the values that were sent beside them, to a data set.

Rule 1. A data set is written in an Explicit VR Little Endian transfer syntax, its text
in UTF-8 (ISO_IR 192). Rule 2. Long values are copied from where they lie, piece by
piece: how large they are does not tell how much memory it takes. Rule 3. What is named
and was not sent is refused; nothing is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from struct import pack
from typing import Final, cast

from leadglass.dicom import tags, uids
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.source import ReadAt
from leadglass.dicom.values import LONG_FORM, TEXT_LIST, TEXT_ONE, WORD
from leadglass.dicom.writer import UNICODE, Unwritable, Writer
from leadglass.errors import BadInput

_LONGEST_SHORT: Final = 0xFFFE
_LONGEST: Final = 0xFFFFFFFE
_UNDEFINED: Final = 0xFFFFFFFF
_COPIED: Final = 1 << 20
"""Bytes that are copied at a time."""
_CHARSET: Final = tags.key(tags.SpecificCharacterSet)
_PIXELS: Final = tags.key(tags.PixelData)


@dataclass(frozen=True, slots=True)
class Sent:
    """A value that was sent beside the attributes.

    Parameters
    ----------
    sources : sequence of ReadAt
        Its bytes: one source, or of compressed pixel data one for each frame.
    transfer_syntax_uid : str
        Of compressed pixel data; empty of a plain value.
    """

    sources: Sequence[ReadAt]
    transfer_syntax_uid: str = ""


Piece = bytes | ReadAt
"""Bytes of a data set, or where they are copied from."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A data set that is ready to be written.

    Parameters
    ----------
    transfer_syntax_uid : str
        Its transfer syntax.
    pieces : sequence of Piece
        What it consists of.
    """

    transfer_syntax_uid: str
    pieces: Sequence[Piece]

    def blocks(self) -> Iterator[bytes]:
        """Give its bytes."""
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            for offset in range(0, piece.size, _COPIED):
                yield piece.read_at(offset, _COPIED)


def compose(attributes: Attributes, sent: Mapping[str, Sent], transfer_syntax_uid: str = "") -> Composed:
    """Write a data set.

    Parameters
    ----------
    attributes : Attributes
        As ``json_reader`` and ``native_xml`` give them.
    sent : mapping of str to Sent
        The values that a ``BulkDataURI`` may name.
    transfer_syntax_uid : str
        What the sender says that inline pixel data is in; empty for native.

    Raises
    ------
    BadInput
        When a value was not sent, or an element cannot hold it.
    """
    pixels = attributes.get(_PIXELS)
    frames = sent.get(pixels.get("BulkDataURI", "")) if pixels is not None else None
    syntax: str = uids.EXPLICIT_VR_LITTLE_ENDIAN
    if frames is not None and frames.transfer_syntax_uid:
        syntax = frames.transfer_syntax_uid
    elif transfer_syntax_uid not in ("", *uids.UNCOMPRESSED):
        raise BadInput("Compressed pixel data has to be sent as bulk data with its media type.")
    whole: Attributes = {**attributes, _CHARSET: JsonElement(vr="CS", Value=[UNICODE])}
    composer = _Composer(sent)
    pieces: list[Piece] = []
    try:
        composer.write(whole, pieces, is_root=True)
    except Unwritable:
        raise BadInput("A text cannot be written even in Unicode: it holds half a surrogate pair.") from None
    return Composed(syntax, _joined(pieces))


class _Composer:
    """Writes elements of one data set."""

    def __init__(self, sent: Mapping[str, Sent]) -> None:
        self._sent = sent
        self._writer = Writer(uids.EXPLICIT_VR_LITTLE_ENDIAN, (UNICODE,))

    def write(self, attributes: Attributes, pieces: list[Piece], *, is_root: bool = False) -> int:
        """Append the elements; gives how many bytes they are."""
        size = 0
        for name in sorted(attributes):
            element = attributes[name]
            if element["vr"] == "SQ":
                inner: list[Piece] = []
                length = self._items(cast("list[Attributes]", element.get("Value", [])), inner)
                size += _header(name, "SQ", length, pieces) + length
                pieces += inner
            elif "BulkDataURI" in element:
                size += self._bulk(name, element, pieces, is_root=is_root)
            else:
                value = self._writer.value(name, element)
                size += _header(name, element["vr"], len(value), pieces) + len(value)
                pieces.append(value)
        return size

    def _items(self, items: list[Attributes], pieces: list[Piece]) -> int:
        size = 0
        for item in items:
            inner: list[Piece] = []
            length = self.write(item, inner)
            pieces.append(_item(length))
            pieces += inner
            size += 8 + length
        return size

    def _bulk(self, name: str, element: JsonElement, pieces: list[Piece], *, is_root: bool) -> int:
        sent = self._sent.get(element.get("BulkDataURI", ""))
        if sent is None:
            raise BadInput(f"The bulk data of ({name[:4]},{name[4:]}) is not in the request; nothing is fetched.")
        if sent.transfer_syntax_uid:
            if not is_root or name != _PIXELS:
                raise BadInput("Only the pixel data of the instance itself may be sent compressed.")
            return _encapsulated(sent.sources, pieces)
        if len(sent.sources) != 1:
            raise BadInput(f"The bulk data of ({name[:4]},{name[4:]}) was sent more than once.")
        source = sent.sources[0]
        vr = element["vr"]
        if source.size % WORD.get(vr, 1):
            raise BadInput(f"The bulk data of ({name[:4]},{name[4:]}) has a length that does not fit its VR.")
        padding = source.size % 2
        size = _header(name, vr, source.size + padding, pieces) + source.size + padding
        pieces.append(source)
        if padding:
            pieces.append(b" " if vr in TEXT_LIST | TEXT_ONE | {"DS", "IS", "PN"} and vr != "UI" else b"\0")
        return size


def _header(name: str, vr: str, length: int, pieces: list[Piece]) -> int:
    head = pack("<HH", int(name[:4], 16), int(name[4:], 16))
    if length > _LONGEST and length != _UNDEFINED:
        raise BadInput(f"The value of ({name[:4]},{name[4:]}) is longer than 4 GiB, which only compressed data may be.")
    if vr in LONG_FORM or length > _LONGEST_SHORT:
        long_vr = vr if vr in LONG_FORM else "UN"  # PS3.5 section 6.2.2: UN where a length does not fit
        head += long_vr.encode("ascii") + pack("<HI", 0, length)
    else:
        head += vr.encode("ascii") + pack("<H", length)
    pieces.append(head)
    return len(head)


def _item(length: int) -> bytes:
    return pack("<HHI", tags.ITEM_GROUP, tags.Item & 0xFFFF, length)


def _encapsulated(frames: Sequence[ReadAt], pieces: list[Piece]) -> int:
    """Append compressed pixel data, a fragment for each frame (PS3.5 section A.4)."""
    lengths = [frame.size + frame.size % 2 for frame in frames]
    if max(lengths) > _LONGEST:
        raise BadInput("A frame is longer than 4 GiB.")
    offsets = [0, *accumulate(8 + length for length in lengths)]
    size = _header(_PIXELS, "OB", _UNDEFINED, pieces)
    # Without a table, where an offset does not fit, one fragment for each frame tells as much.
    table = b"" if offsets[-2] > _LONGEST or len(frames) == 1 else pack(f"<{len(frames)}I", *offsets[:-1])
    pieces.append(_item(len(table)) + table)
    for frame, length in zip(frames, lengths, strict=True):
        pieces += [_item(length), frame, b"\0" * (length - frame.size)]
    pieces.append(pack("<HHI", tags.ITEM_GROUP, tags.SequenceDelimitationItem & 0xFFFF, 0))
    return size + 8 + len(table) + offsets[-1] + 8


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Join what is in memory, so that it is handed on in few blocks."""
    joined: list[Piece] = []
    run: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            run.append(piece)
            continue
        if run:
            joined.append(b"".join(run))
            run = []
        joined.append(piece)
    if run:
        joined.append(b"".join(run))
    return joined
