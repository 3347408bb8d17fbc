"""DICOM files (PS3.10): read the file meta information, or guess when there is none; write it.

Rule: what a file says is bounded, checked against what is really there, and a
guess is called a guess.
"""

from dataclasses import dataclass

from leadglass.dicom.source import ReadAt


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

    Raises
    ------
    BadInput
        When it is not a DICOM file.
    """
    raise NotImplementedError(source)


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae: str = "") -> bytes:
    """Give preamble (128 zero bytes), prefix and group 0002 for a data set (PS3.10 section 7.1)."""
    raise NotImplementedError(sop_class_uid, sop_instance_uid, transfer_syntax_uid, source_ae)
