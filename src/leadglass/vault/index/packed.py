"""Attributes as the index keeps them: JSON, deflated, with the version of the packing in front.

Rule: what ``unpack`` cannot read is ``Corrupt``; an index that was read under
its key and does not decode was damaged by us.
"""

import zlib
from typing import Final

import msgspec

from leadglass.dicom.model import Attributes
from leadglass.errors import Corrupt

_PLAIN: Final = b"\x00"
_DEFLATED: Final = b"\x01"
_SMALL: Final = 512
"""Bytes below which deflating gains less than it costs."""

_DECODER: Final = msgspec.json.Decoder(Attributes)
_ENCODER: Final = msgspec.json.Encoder()


def pack(attributes: Attributes) -> bytes:
    """Give the compact form."""
    text = _ENCODER.encode(attributes)
    return _PLAIN + text if len(text) < _SMALL else _DEFLATED + zlib.compress(text, 1)


def unpack(packed: bytes) -> Attributes:
    """Read the compact form.

    Raises
    ------
    Corrupt
    """
    try:
        text = packed[1:] if packed[:1] == _PLAIN else zlib.decompress(packed[1:])
        return _DECODER.decode(text)
    except (zlib.error, msgspec.DecodeError) as error:
        raise Corrupt("Metadata in the index cannot be read. Restore the index from a backup.") from error
