"""Names and beginnings of files: what looks like DICOM, and what is.

Rule: a name is looked at and counted; nothing of it is kept.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from leadglass.survey.findings import Exposure

BEGINNING: Final = 132
"""Bytes of a file that tell whether it is DICOM: preamble and prefix (PS3.10 7.1)."""

MOST_FILES: Final = 5
"""Files of which the beginning is read."""

_LOOKS: Final = re.compile(
    r"(?:\A|[\\/])(?:DICOMDIR|I?IM(?:G|AGE)?-?\d{3,}|(?:CT|MR|CR|DX|US|PT|NM|MG|RF|XA)[._-]?\d[\d._-]*)\Z"
    r"|\.(?:dcm|dicom|dcm30|ima|dic|acr|v2)(?:\.(?:gz|bz2))?\Z"
    r"|\A(?:\d+\.){5,}\d+(?:\.dcm)?\Z",
    re.IGNORECASE,
)


def looks_like_dicom(name: str) -> bool:
    """Say whether a file of this name is one of a modality's, a CD's or an archive's."""
    return _LOOKS.search(name) is not None


def is_dicom(beginning: bytes) -> bool:
    """Say whether a file that begins so is a DICOM file (PS3.10 7.1)."""
    return beginning[128:BEGINNING] == b"DICM"


def rung(looking: int, confirmed: int) -> Exposure:
    """Give the ladder's rung of a share whose names can be listed.

    Parameters
    ----------
    looking : int
        Names that look like DICOM.
    confirmed : int
        Files that are.
    """
    if confirmed:
        return Exposure.E5
    return Exposure.E4 if looking else Exposure.E3


def proof(names: int, looking: int, confirmed: int, read: int) -> Mapping[str, str | int]:
    """Give what shows it: counts."""
    said: dict[str, str | int] = {"names": names, "look like DICOM": looking}
    return said | ({"beginnings read": read, "are DICOM": confirmed} if read else {})


def not_tested(read: int) -> tuple[str, ...]:
    """Say what was not looked at."""
    first = "Folders below the top were not looked into."
    if read:
        return (first, f"No file was read beyond its first {BEGINNING} bytes.")
    return (first, "No file was opened: whether what looks like DICOM is, is looked at at level 3 only.")


def unique(names: Iterable[str], most: int = 20_000) -> list[str]:
    """Give names once each, up to a bound."""
    found: dict[str, None] = {}
    for name in names:
        found[name] = None
        if len(found) >= most:
            break
    return list(found)
