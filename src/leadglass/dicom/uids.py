"""Unique identifiers and AE titles: parse or raise, and the transfer syntaxes we know by name.

Rule: text from outside becomes a ``UID`` here and nowhere else. Length and
characters are strict (a UID is used in URLs, logs and SQL); leading zeros and
one-component UIDs, which real devices write, are tolerated.
"""

import re
from typing import Final, NewType

from leadglass.errors import BadInput

UID = NewType("UID", str)
"""A well-formed unique identifier (PS3.5 section 9)."""

IMPLICIT_VR_LITTLE_ENDIAN: Final = UID("1.2.840.10008.1.2")
EXPLICIT_VR_LITTLE_ENDIAN: Final = UID("1.2.840.10008.1.2.1")
ENCAPSULATED_UNCOMPRESSED: Final = UID("1.2.840.10008.1.2.1.98")
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = UID("1.2.840.10008.1.2.1.99")
EXPLICIT_VR_BIG_ENDIAN: Final = UID("1.2.840.10008.1.2.2")
JPEG_BASELINE: Final = UID("1.2.840.10008.1.2.4.50")
JPEG_EXTENDED: Final = UID("1.2.840.10008.1.2.4.51")
JPEG_LOSSLESS: Final = UID("1.2.840.10008.1.2.4.57")
JPEG_LOSSLESS_SV1: Final = UID("1.2.840.10008.1.2.4.70")
JPEG_LS_LOSSLESS: Final = UID("1.2.840.10008.1.2.4.80")
JPEG_LS_NEAR_LOSSLESS: Final = UID("1.2.840.10008.1.2.4.81")
JPEG_2000_LOSSLESS: Final = UID("1.2.840.10008.1.2.4.90")
JPEG_2000: Final = UID("1.2.840.10008.1.2.4.91")
JPEG_2000_MC_LOSSLESS: Final = UID("1.2.840.10008.1.2.4.92")
JPEG_2000_MC: Final = UID("1.2.840.10008.1.2.4.93")
JPIP_REFERENCED: Final = UID("1.2.840.10008.1.2.4.94")
JPIP_REFERENCED_DEFLATED: Final = UID("1.2.840.10008.1.2.4.95")
JPIP_HTJ2K_REFERENCED: Final = UID("1.2.840.10008.1.2.4.204")
JPIP_HTJ2K_REFERENCED_DEFLATED: Final = UID("1.2.840.10008.1.2.4.205")
JPEG_XL_LOSSLESS: Final = UID("1.2.840.10008.1.2.4.110")
JPEG_XL_RECOMPRESSION: Final = UID("1.2.840.10008.1.2.4.111")
JPEG_XL: Final = UID("1.2.840.10008.1.2.4.112")
HTJ2K_LOSSLESS: Final = UID("1.2.840.10008.1.2.4.201")
HTJ2K_LOSSLESS_RPCL: Final = UID("1.2.840.10008.1.2.4.202")
HTJ2K: Final = UID("1.2.840.10008.1.2.4.203")
RLE_LOSSLESS: Final = UID("1.2.840.10008.1.2.5")
DEFLATED_IMAGE_FRAME: Final = UID("1.2.840.10008.1.2.8.1")

UNCOMPRESSED: Final = frozenset(
    {
        IMPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_BIG_ENDIAN,
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    }
)
"""Transfer syntaxes with native pixel data; between them only the encoding changes."""

DEFLATED: Final = frozenset(
    {DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, JPIP_REFERENCED_DEFLATED, JPIP_HTJ2K_REFERENCED_DEFLATED}
)
"""Transfer syntaxes whose whole data set is deflated (PS3.5 section A.5)."""

NATIVE: Final = frozenset({*UNCOMPRESSED, *DEFLATED, JPIP_REFERENCED, JPIP_HTJ2K_REFERENCED})
"""Transfer syntaxes in which pixel data, where there is any, is not encapsulated."""

VIDEO: Final = frozenset(
    f"1.2.840.10008.1.2.4.{last}"
    for last in (
        "100", "100.1", "101", "101.1", "102", "102.1", "103", "103.1", "104", "104.1", "105", "105.1", "106", "106.1",
        "107", "108",
    )
)  # fmt: skip
"""MPEG-2, MPEG-4 AVC and HEVC transfer syntaxes: one bit stream for all frames."""

JPEG_FAMILY: Final = frozenset(f"1.2.840.10008.1.2.4.{process}" for process in (50, 51, 52, 53, 54, 55, 56, 57, 58, 70))
"""JPEG of ITU-T T.81 that is not hierarchical."""
JPEG_LS_FAMILY: Final = frozenset({JPEG_LS_LOSSLESS, JPEG_LS_NEAR_LOSSLESS})
JPEG_2000_FAMILY: Final = frozenset({JPEG_2000_LOSSLESS, JPEG_2000, JPEG_2000_MC_LOSSLESS, JPEG_2000_MC})
HTJ2K_FAMILY: Final = frozenset({HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL, HTJ2K})
JPEG_XL_FAMILY: Final = frozenset({JPEG_XL_LOSSLESS, JPEG_XL_RECOMPRESSION, JPEG_XL})
DECODED: Final = (
    JPEG_FAMILY
    | JPEG_LS_FAMILY
    | JPEG_2000_FAMILY
    | HTJ2K_FAMILY
    | JPEG_XL_FAMILY
    | {RLE_LOSSLESS, DEFLATED_IMAGE_FRAME, ENCAPSULATED_UNCOMPRESSED}
)
"""Transfer syntaxes of encapsulated pixel data that this program can decode."""

ENCODED: Final = frozenset({RLE_LOSSLESS, JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS})
"""Transfer syntaxes of encapsulated pixel data that this program can encode, all without loss."""

IMPLEMENTATION_CLASS_UID: Final = UID("2.25.104558810232681489379544044640554636717")
IMPLEMENTATION_VERSION_NAME: Final = "LEADGLASS_0_1"

_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}", re.ASCII)
_STANDARD_TRANSFER_SYNTAX = re.compile(r"(?=.{1,64}\Z)1\.2\.840\.10008\.1\.2(\.[0-9]+)*", re.ASCII)


def parse_uid(text: str) -> UID:
    """Give a well-formed UID, padding removed (PS3.5 section 9.1).

    Raises
    ------
    BadInput
        When it is empty, longer than 64 characters, or holds anything but
        digits in components parted by single dots.
    """
    stripped = text.strip(" \0")
    if _UID.fullmatch(stripped) is None:
        raise BadInput("A UID must have 1 to 64 characters, digits and dots only.")
    if stripped.startswith(".") or stripped.endswith(".") or ".." in stripped:
        raise BadInput("A UID must not have empty components.")
    return UID(stripped)


def parse_ae_title(text: str) -> str:
    """Give an AE title without the spaces around it (PS3.5 section 6.2, VR AE).

    Raises
    ------
    BadInput
        When nothing is left, more than 16 characters are, or it holds a
        backslash, a control character or anything outside ASCII.
    """
    stripped = text.strip(" ")
    if _AE_TITLE.fullmatch(stripped) is None:
        raise BadInput("An AE title must have 1 to 16 printable ASCII characters, and no backslash.")
    return stripped


def is_transfer_syntax(uid: str) -> bool:
    """Say whether ``uid`` is, or by its root can only become, a transfer syntax of the Standard."""
    return _STANDARD_TRANSFER_SYNTAX.fullmatch(uid) is not None


def is_encapsulated(transfer_syntax_uid: str) -> bool:
    """Say whether top-level pixel data is encapsulated in this transfer syntax (PS3.5 section A.4)."""
    return transfer_syntax_uid not in NATIVE
