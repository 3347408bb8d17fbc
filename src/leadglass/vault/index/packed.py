"""Attributes as the index keeps them: JSON, deflated, with the version of the packing in front.

What is long is kept so that it can be sent without being read (``dicom.json_text``).

Rule: what ``unpack`` cannot read is ``Corrupt``; an index that was read under
its key and does not decode was damaged by us.
"""

import zlib
from typing import Final

import msgspec

from leadglass.dicom.json_text import JsonText
from leadglass.dicom.model import Attributes
from leadglass.errors import Corrupt

_PLAIN: Final = b"\x00"
_DEFLATED: Final = b"\x01"
"""In one piece: what was packed before there were pieces."""
_PIECES: Final = b"\x02"
_SMALL: Final = 512
"""Bytes below which deflating gains less than it costs."""

_SMALL_ROW: Final = 2_048
"""The same where reading counts for more than size: a third of the time of a search goes into it."""

_DECODER: Final = msgspec.json.Decoder(Attributes)
_ENCODER: Final = msgspec.json.Encoder()


def pack(attributes: Attributes) -> bytes:
    """Give the compact form."""
    text = _ENCODER.encode(attributes)
    return _PLAIN + text if len(text) < _SMALL else _PIECES + JsonText.of_text(text).to_bytes()


def pack_row(attributes: Attributes) -> bytes:
    """Give the form of a study's or series' row, which searches read in hundreds: plain unless it is long."""
    text = _ENCODER.encode(attributes)
    return _PLAIN + text if len(text) < _SMALL_ROW else _PIECES + JsonText.of_text(text).to_bytes()


def unpack(packed: bytes) -> Attributes:
    """Read the compact form.

    Raises
    ------
    Corrupt
    """
    if packed[:1] == _PIECES:
        return JsonText(packed, 1).attributes()
    try:
        return _DECODER.decode(_text(packed))
    except msgspec.DecodeError as error:
        raise _unreadable() from error


def json_text(packed: bytes) -> JsonText:
    """Give the JSON itself, unread; raises ``Corrupt``."""
    return JsonText(packed, 1) if packed[:1] == _PIECES else JsonText.of_text(_text(packed))


def length(packed: bytes) -> int:
    """Give the bytes of the JSON, unread; raises ``Corrupt``."""
    return len(packed) - 1 if packed[:1] == _PLAIN else json_text(packed).length


def _text(packed: bytes) -> bytes:
    try:
        return packed[1:] if packed[:1] == _PLAIN else zlib.decompress(packed[1:])
    except zlib.error as error:
        raise _unreadable() from error


def _unreadable() -> Corrupt:
    return Corrupt("Metadata in the index cannot be read. Restore the index from a backup.")
