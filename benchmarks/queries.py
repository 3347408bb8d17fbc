"""C-FIND identifiers of each kind that is measured, for studies spread over a made-up archive."""

from pathlib import Path
from typing import Final

from benchmarks.made_up import part10, study
from leadglass.dicom.model import Attributes

STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
KINDS: Final = ("Patient ID", "one day", "name prefix", "MUEL*", "day and modality", "nobody")

_RETURN: Final[Attributes] = {
    "00080020": {"vr": "DA"},
    "00080030": {"vr": "TM"},
    "00080050": {"vr": "SH"},
    "00080061": {"vr": "CS"},
    "00081030": {"vr": "LO"},
    "00100010": {"vr": "PN"},
    "00100020": {"vr": "LO"},
    "00100030": {"vr": "DA"},
    "00100040": {"vr": "CS"},
    "0020000D": {"vr": "UI"},
    "00200010": {"vr": "SH"},
    "00201208": {"vr": "IS"},
}
"""What a worklist on a workstation shows: with Modalities in Study and Number of Study Related Instances."""


def keys(kind: str, number: int, studies: int) -> Attributes:
    """Give one query: each number asks about another study."""
    one = study((number * 7_919 + 13) % studies)
    match kind:
        case "Patient ID":
            asked: Attributes = {"00100020": {"vr": "LO", "Value": [one.patient_id]}}
        case "one day":
            asked = {"00080020": {"vr": "DA", "Value": [f"{one.date}-{one.date}"]}}
        case "name prefix":
            beginning = one.patient_name.split("=")[0].split("^")[0][:9]
            asked = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": f"{beginning}*"}]}}
        case "MUEL*":
            asked = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "MUEL*"}]}}
        case "day and modality":
            asked = {
                "00080020": {"vr": "DA", "Value": [f"{one.date}-{one.date}"]},
                "00080061": {"vr": "CS", "Value": ["CT"]},
            }
        case _:
            asked = {"00100020": {"vr": "LO", "Value": [f"NOBODY{number}"]}}
    level: Attributes = {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080052": {"vr": "CS", "Value": ["STUDY"]},
    }
    return dict(sorted((level | _RETURN | asked).items()))


def write(folder: Path, kind: str, count: int, studies: int, *, start: int = 0) -> list[Path]:
    """Write ``count`` queries of a kind as files, from number ``start`` on."""
    folder.mkdir(parents=True)
    paths = [folder / f"{number:04}.dcm" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(part10(keys(kind, start + number, studies), STUDY_ROOT_FIND))
    return paths
