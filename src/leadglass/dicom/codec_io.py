"""Identifiers: short data sets on the wire (C-FIND keys and answers), decoded and encoded.

Rule: the same bounded reader as for stored objects; what is written is read
back the same, in Unicode where the asker's character set cannot carry it.
"""

from typing import Final

from leadglass.dicom import tags
from leadglass.dicom.inflate import plain
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes
from leadglass.dicom.reader import read
from leadglass.dicom.source import Bytes
from leadglass.dicom.vocabulary import encoding_of
from leadglass.dicom.writer import write_identifier

_LIMITS: Final = Limits(
    header_bytes=16 << 20,
    elements=20_000,
    depth=16,
    value_bytes=8 << 20,
    inline_bytes=8 << 20,
    kept_bytes=16 << 20,
    inflated_bytes=16 << 20,
    inflation_free=1 << 20,
)
"""An identifier is some hundred bytes; only a list of UIDs may be long (8 MiB: 120,000 of them)."""


def decode_identifier(data: bytes, transfer_syntax_uid: str, limits: Limits = _LIMITS) -> Attributes:
    """Read an identifier.

    Parameters
    ----------
    data : bytes
        The data set of a request or response.
    transfer_syntax_uid : str
        Of the presentation context.
    limits : Limits
        What it may cost to read; those of a query when not given.

    Raises
    ------
    BadInput
        When it is no data set in that transfer syntax, or too large.
    """
    return read(plain(Bytes(data), transfer_syntax_uid, limits), encoding_of(transfer_syntax_uid), limits).attributes


def charset_of_identifier(identifier: Attributes) -> tuple[str, ...]:
    """Give the Specific Character Set of a decoded identifier, for the answers to it."""
    values = identifier.get(tags.key(tags.SpecificCharacterSet), {"vr": "CS"}).get("Value", [])
    return tuple(str(value or "") for value in values)


def encode_identifier(attributes: Attributes, transfer_syntax_uid: str, charset: tuple[str, ...] = ()) -> bytes:
    """Write an identifier, with Specific Character Set (0008,0005) where it is needed.

    Parameters
    ----------
    attributes : Attributes
        What to write; its own Specific Character Set is not looked at.
    transfer_syntax_uid : str
        Implicit or Explicit VR Little Endian, Big Endian or Deflated.
    charset : tuple of str
        The asker's Specific Character Set values. They are used when they can
        carry the text and it is not plain ASCII; else ``ISO_IR 192``.

    Raises
    ------
    BadInput
        When an element cannot be written.
    Unsupported
        For any other transfer syntax.
    """
    return write_identifier(attributes, transfer_syntax_uid, charset)
