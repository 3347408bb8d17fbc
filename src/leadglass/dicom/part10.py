"""DICOM files (PS3.10): read the file meta information, or guess when there is none; write it.

Rule: what a file says is bounded, checked against what is really there, and a
guess is called a guess.
"""

from dataclasses import dataclass
from functools import lru_cache
from struct import pack
from typing import Final

from leadglass.dicom import tags, uids
from leadglass.dicom.source import ReadAt
from leadglass.dicom.values import LONG_FORM, VRS
from leadglass.errors import BadInput

_PREAMBLE: Final = 128
_PREFIX: Final = b"DICM"
_LONGEST_META: Final = 64 << 10
"""Bytes of file meta information; real ones have some 200, with private information a few thousand."""
_FIRST_GROUPS: Final = frozenset({0x0004, 0x0008, 0x0010})
"""Groups that a data set without file meta information may begin with."""


@dataclass(frozen=True, slots=True)
class FileMeta:
    """File meta information (PS3.10 section 7.1); empty strings for what is absent."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    source_ae: str = ""


@dataclass(frozen=True, slots=True)
class Part10:
    """Where a file's data set is and how it is encoded.

    Parameters
    ----------
    meta : FileMeta
        What the file says, or what was guessed.
    dataset_offset : int
        Bytes before the data set.
    guessed : bool
        Whether the transfer syntax was guessed since the file has no meta information.
    warnings : tuple of str
        What was wrong and tolerated.
    """

    meta: FileMeta
    dataset_offset: int
    guessed: bool = False
    warnings: tuple[str, ...] = ()


def read_file(source: ReadAt) -> Part10:
    """Read the beginning of a file.

    A file without preamble and prefix is taken when it begins with file meta
    information or with a data set whose encoding can be told from its first
    element; then a warning says so.

    Raises
    ------
    BadInput
        When it is not a DICOM file.
    """
    head = source.read_at(0, _PREAMBLE + len(_PREFIX) + _LONGEST_META)
    if head[_PREAMBLE : _PREAMBLE + 4] == _PREFIX:
        return _with_meta(head, _PREAMBLE + 4, ())
    if head[:2] == b"\x02\x00" and head[4:6] in (b"UL", b"OB", b"UI"):
        return _with_meta(head, 0, ("the file has no preamble",))
    return _bare(head)


def _with_meta(head: bytes, start: int, warnings: tuple[str, ...]) -> Part10:
    """Walk group 0002, which is Explicit VR Little Endian whatever follows (PS3.10 section 7.1)."""
    found: dict[int, str] = {}
    announced: int | None = None
    notes = list(warnings)
    position = start
    while head[position : position + 2] == b"\x02\x00":
        vr = head[position + 4 : position + 6].decode("latin_1")
        if vr not in VRS:
            raise BadInput("The file meta information is damaged: an element has no value representation.")
        is_long = vr in LONG_FORM
        value = position + (12 if is_long else 8)
        length = int.from_bytes(head[value - 4 : value] if is_long else head[value - 2 : value], "little")
        if value + length > len(head):
            raise BadInput("The file meta information is cut off, or longer than 64 KiB.")
        element = int.from_bytes(head[position + 2 : position + 4], "little")
        raw = head[value : value + length]
        if element == 0 and length == 4:
            announced = value + 4 + int.from_bytes(raw, "little")
        elif vr in ("UI", "SH", "AE"):
            found[0x00020000 | element] = raw.decode("ascii", "replace").strip(" \0")
        position = value + length
    if announced is not None and announced != position:
        if announced > len(head):
            raise BadInput("The file meta information announces a length that it does not have.")
        notes.append("the length of the file meta information is wrong")
    transfer_syntax_uid = found.get(tags.TransferSyntaxUID, "")
    if not transfer_syntax_uid:
        raise BadInput("The file meta information names no transfer syntax.")
    meta = FileMeta(
        found.get(tags.MediaStorageSOPClassUID, ""),
        found.get(tags.MediaStorageSOPInstanceUID, ""),
        transfer_syntax_uid,
        found.get(tags.ImplementationClassUID, ""),
        found.get(tags.ImplementationVersionName, ""),
        found.get(tags.SourceApplicationEntityTitle, ""),
    )
    return Part10(meta, position, warnings=tuple(notes))


def _bare(head: bytes) -> Part10:
    """Guess the encoding of a data set that begins at the first byte, or after a preamble without prefix."""
    for offset in (0, _PREAMBLE):
        first = head[offset : offset + 8]
        if len(first) < 8:
            break
        guess = _guess(first)
        if guess is not None:
            note = "the file has no meta information: its transfer syntax was guessed"
            return Part10(FileMeta("", "", guess), offset, guessed=True, warnings=(note,))
    raise BadInput("This is not a DICOM file: it has neither the prefix DICM nor a data set at its beginning.")


def _guess(first: bytes) -> str | None:
    is_explicit = first[4:6].isalpha() and first[4:6].decode("latin_1") in VRS
    if int.from_bytes(first[:2], "little") in _FIRST_GROUPS:
        if is_explicit:
            return uids.EXPLICIT_VR_LITTLE_ENDIAN
        return uids.IMPLICIT_VR_LITTLE_ENDIAN if first[6:8] == b"\0\0" else None
    if int.from_bytes(first[:2], "big") in _FIRST_GROUPS and is_explicit:
        return uids.EXPLICIT_VR_BIG_ENDIAN
    return None


def _element(tag: int, vr: str, value: bytes) -> bytes:
    head = pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode("ascii"))
    if vr in LONG_FORM:
        return head + pack("<HI", 0, len(value)) + value
    return head + pack("<H", len(value)) + value


def _padded(text: str, padding: bytes) -> bytes:
    raw = text.encode("ascii", "replace")
    return raw + padding if len(raw) % 2 else raw


@lru_cache(maxsize=256)
def _before(sop_class_uid: str) -> bytes:
    """Give what stands before the SOP Instance UID; of a whole series it is the same."""
    version = _element(tags.FileMetaInformationVersion, "OB", b"\x00\x01")
    return version + _element(tags.MediaStorageSOPClassUID, "UI", _padded(sop_class_uid, b"\0"))


@lru_cache(maxsize=256)
def _after(transfer_syntax_uid: str) -> bytes:
    """Give what stands after the SOP Instance UID, but for the sender."""
    return b"".join(
        (
            _element(tags.TransferSyntaxUID, "UI", _padded(transfer_syntax_uid, b"\0")),
            _element(tags.ImplementationClassUID, "UI", _padded(uids.IMPLEMENTATION_CLASS_UID, b"\0")),
            _element(tags.ImplementationVersionName, "SH", _padded(uids.IMPLEMENTATION_VERSION_NAME, b" ")),
        )
    )


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae: str = "") -> bytes:
    """Give preamble (128 zero bytes), prefix and group 0002 for a data set (PS3.10 section 7.1).

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid : str
        Of the data set.
    source_ae : str
        AE title of the application that wrote or sent it; left out when empty.
    """
    body = b"".join(
        (
            _before(sop_class_uid),
            _element(tags.MediaStorageSOPInstanceUID, "UI", _padded(sop_instance_uid, b"\0")),
            _after(transfer_syntax_uid),
            _element(tags.SourceApplicationEntityTitle, "AE", _padded(source_ae, b" ")) if source_ae else b"",
        )
    )
    length = _element(tags.FileMetaInformationGroupLength, "UL", pack("<I", len(body)))
    return bytes(_PREAMBLE) + _PREFIX + length + body
