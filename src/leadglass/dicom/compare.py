"""Compare: whether two data sets hold the same content although their bytes differ."""

from leadglass.dicom.limits import Limits
from leadglass.dicom.source import ReadAt


def difference(a: ReadAt, a_transfer_syntax: str, b: ReadAt, b_transfer_syntax: str, limits: Limits) -> str | None:
    """Give the keyword of the first element that differs; None when the content is the same.

    Group lengths, the encoding of sequence lengths, padding, byte order and
    Implicit against Explicit VR do not count; pixel data is compared as stored.

    Raises
    ------
    BadInput
        When one of them cannot be read.
    """
    raise NotImplementedError(a, a_transfer_syntax, b, b_transfer_syntax, limits)
