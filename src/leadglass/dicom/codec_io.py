"""Identifiers: short data sets on the wire (C-FIND keys and answers), decoded and encoded.

Rule: the same bounded reader as for stored objects; what is written is read
back the same, or in Unicode where the asker's character set cannot carry it.
"""

from leadglass.dicom.model import Attributes


def decode_identifier(data: bytes, transfer_syntax_uid: str) -> Attributes:
    """Read an identifier.

    Raises
    ------
    BadInput
        When it is no data set in that transfer syntax, or too large.
    """
    raise NotImplementedError(data, transfer_syntax_uid)


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
    """
    raise NotImplementedError(attributes, transfer_syntax_uid, charset)
