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
from collections.abc import Iterator, Sequence
from struct import Struct, error
from typing import Final, NamedTuple

import msgspec

from leadglass.dicom.model import Attributes
from leadglass.errors import Corrupt

_MARK: Final = b'"BulkDataURI":"'
_MOST_PIECES: Final = 64
"""Pieces that are deflated alone, beyond which it would cost too much: then there is one, and no gap."""
_KNOWN: Final = _MOST_PIECES + 1
_SHORT: Final = 96
"""Bytes of a piece below which deflating it costs more than it saves: what follows pixel data, mostly."""
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


class Piece(NamedTuple):
    """A piece of text, deflated: length and Adler-32 of the text, and what it became."""

    length: int
    adler: int
    deflated: bytes


def _put_in(texts: Iterator[bytes], base: bytes) -> Iterator[bytes]:
    """Put ``base`` in front of each BulkDataURI of a text that comes in parts, which may end inside of a mark."""
    kept = b""
    for each in texts:
        text = kept + each
        cut = max(0, len(text) - len(_MARK) + 1, text.rfind(_MARK) + len(_MARK) if _MARK in text else 0)
        kept = text[cut:]
        yield text[:cut].replace(_MARK, _MARK + base)
    yield kept


class JsonText:
    """The JSON of one instance's attributes, as it is kept and sent.

    Parameters
    ----------
    data : bytes
        As the index keeps it: how many pieces there are (0 for one whose
        BulkDataURIs are too many to leave gaps), of each the length and Adler-32
        of its text and the length of what it became, then the pieces.
    start : int
        Where in ``data`` it begins.

    Raises
    ------
    Corrupt
        When it is not one.
    """

    __slots__ = ("_count", "_data", "_heads", "_start")

    def __init__(self, data: bytes, start: int = 0) -> None:
        try:
            self._count: int = _COUNT.unpack_from(data, start)[0]
            pieces = self._count or 1
            heads: tuple[int, ...] = Struct(f"<{3 * min(pieces, _KNOWN)}I").unpack_from(data, start + 2)
        except error:
            raise _damaged() from None
        self._data = data
        self._heads = heads
        self._start = start + 2 + 12 * pieces
        if pieces > _MOST_PIECES or self._start + sum(heads[2::3]) != len(data):
            raise _damaged()

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
        heads: list[bytes] = []
        pieces: list[bytes] = []
        for index, part in enumerate(parts):
            piece = part if index == last else part + _MARK
            if len(piece) < _SHORT:
                length, adler, deflated = stored(piece)
            else:
                length, adler = len(piece), zlib.adler32(piece)
                deflated = deflater.compress(piece) + deflater.flush(zlib.Z_FULL_FLUSH)
            heads.append(_PIECE.pack(length, adler, len(deflated)))
            pieces.append(deflated)
        return cls(b"".join((_COUNT.pack(0 if is_whole else len(parts)), *heads, *pieces)))

    def to_bytes(self) -> bytes:
        """Give what the index keeps."""
        return self._data[self._start - 2 - 12 * (self._count or 1) :]

    # --- read -----------------------------------------------------------------

    @property
    def length(self) -> int:
        """Bytes of the JSON, before anything is put in."""
        return sum(self._heads[::3])

    def plain(self, base: bytes) -> bytes:
        """Give the JSON, with ``base`` put in front of each BulkDataURI; raises ``Corrupt``."""
        length = self.length
        try:
            text = zlib.decompressobj(-15).decompress(self._data[self._start :], length)
        except zlib.error as wrong:
            raise _damaged() from wrong
        if len(text) != length:
            raise _damaged()
        return text.replace(_MARK, _MARK + base) if base and self._count != 1 else text

    def parts(self, base: bytes, most: int = 1 << 20) -> Iterator[bytes]:
        """Give the same as ``plain``, some bytes at a time: what is deflated may be a thousand times smaller.

        Parameters
        ----------
        base : bytes
            What is put in front of each BulkDataURI.
        most : int
            Bytes of a part, without what is put in.
        """
        if self.length <= most:
            yield self.plain(base)
        elif self._count or not base:
            yield from self._inflated(base, most)
        else:
            yield from _put_in(self._inflated(b"", most), base)

    def _inflated(self, base: bytes, most: int) -> Iterator[bytes]:
        place = self._start
        for index in range(0, len(self._heads), 3):
            if index and base:
                yield base
            length, _, size = self._heads[index : index + 3]
            data, place, given = self._data[place : place + size], place + size, 0
            inflater = zlib.decompressobj(-15)
            try:
                while given < length and (text := inflater.decompress(data, min(most, length - given))):
                    yield text
                    given += len(text)
                    data = inflater.unconsumed_tail
            except zlib.error as wrong:
                raise _damaged() from wrong
            if given != length:
                raise _damaged()

    def attributes(self) -> Attributes:
        """Give the attributes, BulkDataURIs as they are kept; raises ``Corrupt``."""
        try:
            return _DECODER.decode(self.plain(b""))
        except msgspec.DecodeError as wrong:
            raise _damaged() from wrong

    def deflated(self, base: bytes) -> Sequence[Piece]:
        """Give the same as ``plain``, as pieces to be sent one after the other."""
        if not self._count and base:
            return _deflated_anew(self.parts(base))
        heads, data, place = self._heads, self._data, self._start
        if self._count == 2 and base:  # what nearly every image is: pixel data is its only bulk
            middle = place + heads[2]
            return (
                Piece(heads[0], heads[1], data[place:middle]),
                stored(base),
                Piece(heads[3], heads[4], data[middle:]),
            )
        given: list[Piece] = []
        for index in range(0, len(heads), 3):
            if given and base:
                given.append(stored(base))
            end = place + heads[index + 2]
            given.append(Piece(heads[index], heads[index + 1], data[place:end]))
            place = end
        return given


def _deflated_anew(texts: Iterator[bytes]) -> Sequence[Piece]:
    deflater = zlib.compressobj(1, zlib.DEFLATED, -15)
    return [
        Piece(len(each), zlib.adler32(each), deflater.compress(each) + deflater.flush(zlib.Z_FULL_FLUSH))
        for each in texts
        if each
    ]


def stored(text: bytes) -> Piece:
    """Give a piece of text as a block that is not deflated (RFC 1951 section 3.2.4); at most 65,535 bytes."""
    length = len(text)
    if length > _LONGEST_STORED:
        raise ValueError
    return Piece(length, zlib.adler32(text), _LENGTHS.pack(0, length, length ^ 0xFFFF) + text)


class Deflated:
    """Puts pieces together into one stream (RFC 1950), block by block, its checksum added up from theirs."""

    __slots__ = ("_high", "_low", "_parts")

    def __init__(self) -> None:
        self._parts: list[bytes] = [ZLIB_HEAD]
        self._low = 1
        self._high = 0

    def add(self, pieces: Sequence[Piece]) -> None:
        """Put pieces at the end."""
        low, high = self._low, self._high
        parts = self._parts
        for length, adler, deflated in pieces:
            # Adler-32 of two texts from those of each (RFC 1950 section 8.2: two sums, modulo 65521).
            high = (high + (adler >> 16) + length % _MODULUS * (low - 1)) % _MODULUS
            low = (low + (adler & 0xFFFF) - 1) % _MODULUS
            parts.append(deflated)
        self._low, self._high = low, high

    def take(self, *, last: bool = False) -> bytes:
        """Give what was put in since the last time; with the end of the stream when it is the last."""
        if last:
            self._parts.append(_LAST_BLOCK + (self._high << 16 | self._low).to_bytes(4, "big"))
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
