"""The text that ``annotation`` asks for (PS3.18 section 8.3.5.1.1), from attributes as the caller may see them.

Rule: what a view masks is not drawn; nothing is taken from anywhere but those attributes.
"""

from typing import cast

from leadglass.dicom import tags
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.render_read import texts
from leadglass.doors.dicomweb.rendered_query import Annotation


def lines_of(attributes: Attributes, annotations: frozenset[Annotation]) -> tuple[str, ...]:
    """Give the lines to draw; none for what is empty.

    Parameters
    ----------
    attributes : Attributes
        As the caller may see them.
    annotations : frozenset of Annotation
        Which were asked for.
    """
    found: list[str] = []
    if Annotation.PATIENT in annotations:
        found += [_name(attributes), _joined(attributes, (tags.PatientID, tags.IssuerOfPatientID))]
        found.append(_joined(attributes, (tags.PatientBirthDate, tags.PatientSex, tags.PatientAge)))
    if Annotation.TECHNIQUE in annotations:
        found += [
            _joined(attributes, (tags.Modality, tags.StudyDate, tags.SeriesNumber, tags.InstanceNumber)),
            _joined(attributes, (tags.StudyDescription, tags.SeriesDescription)),
            _joined(attributes, (tags.BodyPartExamined, tags.ProtocolName)),
            _technique(attributes),
        ]
    return tuple(_plain(line) for line in found if line.strip())


def _name(attributes: Attributes) -> str:
    """Give the alphabetic name, or the ideographic one where there is no other."""
    values = attributes.get(tags.key(tags.PatientName), JsonElement(vr="PN")).get("Value", [])
    if not values or not isinstance(values[0], dict):
        return ""
    groups = cast("dict[str, object]", values[0])
    chosen = groups.get("Alphabetic") or groups.get("Ideographic") or groups.get("Phonetic") or ""
    return " ".join(part for part in str(chosen).replace("^", " ").split(" ") if part)


def _joined(attributes: Attributes, wanted: tuple[int, ...]) -> str:
    return "  ".join(text for tag in wanted for text in texts(attributes, tag)[:1] if text)


def _technique(attributes: Attributes) -> str:
    said = (("mm", tags.SliceThickness), ("kV", tags.KVP))
    return "  ".join(f"{text} {unit}" for unit, tag in said for text in texts(attributes, tag)[:1] if text)


def _plain(line: str) -> str:
    """Give a line without control and direction characters, which draw nothing and turn the rest round."""
    return "".join(each for each in line if each.isprintable())
