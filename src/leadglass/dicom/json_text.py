"""JsonText: the JSON of an instance's metadata, deflated in pieces, with gaps where its BulkDataURIs begin.

A ``BulkDataURI`` is stored without what it hangs on: host, path and UIDs. Who
sends the text puts that in: in front of ``bulk:…`` or ``fragments:…``
(``model.bulk_uri``). The pieces between the gaps are deflated (RFC 1951) so
that none refers to another and each ends at a byte. So a text can be sent as
it lies here, deflated, with the missing pieces set in between as blocks that
are stored, not deflated; nothing is inflated, parsed or deflated again.

Rule: the mark of a gap is a key of JSON with its quotation marks, which no
value of JSON can hold; and a text with something put in is the same text,
whichever way it was made.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct, error
from typing import Final

import msgspec

from leadglass.dicom.model import Attributes
from leadglass.errors import Corrupt

_MARK: Final = b'"BulkDataURI":"'
_MOST_PIECES: Final = 64
"""Pieces that are deflated alone, beyond which it would cost too much: then there is one, and no gap."""
_LONGEST_STORED: Final = 0xFFFF
_MODULUS: Final = 65_521
_COUNT: Final = Struct("<H")
_PIECE: Final = Struct("<III")
_LENGTHS: Final = Struct("<BHH")
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Attributes)

ZLIB_HEAD: Final = b"\x78\x01"
"""What a stream begins with (RFC 1950)."""
_LAST_BLOCK: Final = b"\x03\x00"


def _damaged() -> Corrupt:
    return Corrupt("Metadata in the index cannot be read. Restore the index from a backup.")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text, deflated: length and Adler-32 of the text, and what it became."""

    length: int
    adler: int
    deflated: bytes


class JsonText:
    """The JSON of one instance's attributes, as it is kept and sent.

    Parameters
    ----------
    pieces : sequence of Piece
        Between each two is a gap.
    is_whole : bool
        Whether there are no gaps though there may be BulkDataURIs: too many.
    """

    __slots__ = ("_is_whole", "_pieces")

    def __init__(self, pieces: Sequence[Piece], *, is_whole: bool = False) -> None:
        self._pieces = pieces
        self._is_whole = is_whole

    @classmethod
    def of(cls, attributes: Attributes) -> "JsonText":
        """Make it of attributes."""
        return cls.of_text(_ENCODER.encode(attributes))

    @classmethod
    def of_text(cls, text: bytes) -> "JsonText":
        """Make it of JSON as ``plain(b"")`` gives it."""
        parts = text.split(_MARK)
        is_whole = len(parts) > _MOST_PIECES
        if is_whole:
            parts = [text]
        last = len(parts) - 1
        deflater = zlib.compressobj(1, zlib.DEFLATED, -15)
        pieces: list[Piece] = []
        for index, part in enumerate(parts):
            piece = part if index == last else part + _MARK
            deflated = deflater.compress(piece) + deflater.flush(zlib.Z_FULL_FLUSH)
            pieces.append(Piece(len(piece), zlib.adler32(piece), deflated))
        return cls(pieces, is_whole=is_whole)

    # --- kept -----------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Give what the index keeps."""
        count = _COUNT.pack(0 if self._is_whole else len(self._pieces))
        heads = [_PIECE.pack(piece.length, piece.adler, len(piece.deflated)) for piece in self._pieces]
        return b"".join((count, *heads, *(piece.deflated for piece in self._pieces)))

    @classmethod
    def from_bytes(cls, data: bytes, start: int = 0) -> "JsonText":
        """Read what the index keeps, from ``start``.

        Raises
        ------
        Corrupt
        """
        try:
            count = _COUNT.unpack_from(data, start)[0]
            is_whole = not count
            count = count or 1
            place = start + _COUNT.size + count * _PIECE.size
            pieces: list[Piece] = []
            for index in range(count):
                length, adler, deflated = _PIECE.unpack_from(data, start + _COUNT.size + index * _PIECE.size)
                pieces.append(Piece(length, adler, data[place : place + deflated]))
                place += deflated
        except error:
            raise _damaged() from None
        if place != len(data):
            raise _damaged()
        return cls(pieces, is_whole=is_whole)

    # --- read -----------------------------------------------------------------

    def plain(self, base: bytes) -> bytes:
        """Give the JSON, with ``base`` put in front of each BulkDataURI; raises ``Corrupt``."""
        if len(self._pieces) == 1 and not self._is_whole:
            return self._inflated()
        text = self._inflated()
        return text.replace(_MARK, _MARK + base) if base else text

    def attributes(self) -> Attributes:
        """Give the attributes, BulkDataURIs as they are kept; raises ``Corrupt``."""
        try:
            return _DECODER.decode(self._inflated())
        except msgspec.DecodeError as wrong:
            raise _damaged() from wrong

    def _inflated(self) -> bytes:
        length = sum(piece.length for piece in self._pieces)
        try:
            text = zlib.decompressobj(-15).decompress(b"".join([piece.deflated for piece in self._pieces]), length)
        except zlib.error as wrong:
            raise _damaged() from wrong
        if len(text) != length:
            raise _damaged()
        return text

    def deflated(self, base: bytes) -> Sequence[Piece]:
        """Give the same as ``plain``, as pieces to be sent one after the other."""
        if self._is_whole:
            return JsonText.of_text(self.plain(base)).deflated(b"") if base else self._pieces
        if len(self._pieces) == 1 or not base:
            return self._pieces
        gap = stored(base)
        given = [gap] * (2 * len(self._pieces) - 1)
        given[::2] = self._pieces
        return given


def stored(text: bytes) -> Piece:
    """Give a piece of text as a block that is not deflated (RFC 1951 section 3.2.4); at most 65,535 bytes."""
    length = len(text)
    if length > _LONGEST_STORED:
        raise ValueError
    return Piece(length, zlib.adler32(text), _LENGTHS.pack(0, length, length ^ 0xFFFF) + text)


class Deflated:
    """Puts pieces together into one stream (RFC 1950), block by block, its checksum added up from theirs."""

    __slots__ = ("_high", "_low", "_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = [ZLIB_HEAD]
        self._size = 0
        self._low = 1
        self._high = 0

    def add(self, pieces: Sequence[Piece]) -> None:
        """Put pieces at the end."""
        low, high = self._low, self._high
        for piece in pieces:
            adler = piece.adler
            # Adler-32 of two texts from those of each (RFC 1950 section 8.2: two sums, modulo 65521).
            high = (high + (adler >> 16) + (piece.length % _MODULUS) * (low - 1)) % _MODULUS
            low = (low + (adler & 0xFFFF) - 1) % _MODULUS
            self._parts.append(piece.deflated)
            self._size += len(piece.deflated)
        self._low, self._high = low, high

    @property
    def size(self) -> int:
        """Bytes that are there to be taken, about."""
        return self._size

    def take(self, *, last: bool = False) -> bytes:
        """Give what was put in since the last time; with the end of the stream when it is the last."""
        if last:
            self._parts.append(_LAST_BLOCK + (self._high << 16 | self._low).to_bytes(4, "big"))
        taken = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return taken
