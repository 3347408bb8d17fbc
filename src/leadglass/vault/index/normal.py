"""Normal forms: how the values of searchable attributes stand in their columns.

Rule: a column may be coarser than the Standard's matching, never finer: what
``Query.matches`` says yes to must be found by its normal form. Where one column
cannot say it (several values, a date that is none), it says None.
"""

from collections.abc import Iterable
from typing import Final, cast

from leadglass.dicom import fuzzy, tags
from leadglass.dicom.keys import tidy_name
from leadglass.dicom.model import Attributes
from leadglass.dicom.moments import parse_date, parse_time
from leadglass.dicom.words import PADDING, fold, words_of
from leadglass.policy.facts import referrer

_ORDERED: Final = 64
"""Characters of a name that its place in an order is told by."""
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def values(attributes: Attributes, tag: int) -> list[object]:
    """Give an attribute's values; none where it is absent or empty."""
    element = attributes.get(tags.key(tag))
    return cast("list[object]", element.get("Value", [])) if element is not None else []


def plain(attributes: Attributes, tag: int) -> str | None:
    """Give the one text of an attribute without padding: empty when there is none, None when there are several."""
    found = values(attributes, tag)
    if not found or found[0] is None:
        return "" if len(found) <= 1 else None
    return str(found[0]).strip(PADDING) if len(found) == 1 else None


def text(attributes: Attributes, tag: int) -> str | None:
    """Give ``plain`` in its folded form."""
    found = plain(attributes, tag)
    return fold(found) if found is not None else None


def date(attributes: Attributes, tag: int) -> str | None:
    """Give a date as ``YYYYMMDD``; empty when there is none, None when it is not one."""
    found = text(attributes, tag)
    if not found:
        return found
    found = found.replace(".", "")  # ACR-NEMA's way (PS3.5 section 6.2, note on DA)
    return found if len(found) == len("YYYYMMDD") and found.isdecimal() and found.isascii() else None


def newest(attributes: Attributes) -> str:
    """Give when a study was, to sort by: ``YYYYMMDDHHMMSS.FFFFFF``; empty when its date is none or several."""
    day = date(attributes, tags.StudyDate)
    if not day or parse_date(day) is None:
        return ""
    part = parse_time(plain(attributes, tags.StudyTime) or "")
    seconds, microsecond = divmod(part[0] if part is not None else 0, 1_000_000)
    return f"{day}{seconds // 3600:02}{seconds // 60 % 60:02}{seconds % 60:02}.{microsecond:06}"


def words(attributes: Attributes, tag: int) -> list[str]:
    """Give the words of each value of an attribute, as ``dicom.words`` and fuzzy matching compare them."""
    return words_of(attributes, tag)


def name_order(attributes: Attributes) -> str:
    """Give what Patient's Name is sorted by: the words of its first component group that has any."""
    for each in values(attributes, tags.PatientName):
        groups: Iterable[object] = cast("dict[str, object]", each).values() if isinstance(each, dict) else [each]
        for group in groups:
            found = " ".join(fuzzy.words(str(group)))
            if found:
                return found[:_ORDERED]
    return ""


def number(attributes: Attributes, tag: int) -> int | None:
    """Give a whole number to sort by; None when it is none."""
    found = values(attributes, tag)
    if len(found) != 1:
        return None
    try:
        given = int(str(found[0]))
    except ValueError:
        return None
    return given if _SMALLEST <= given <= _LARGEST else None


def names(attributes: Attributes, tag: int) -> list[str]:
    """Give each component group of each person name of an attribute in its normal form."""
    forms: set[str] = set()
    for each in values(attributes, tag):
        groups: Iterable[object] = cast("dict[str, object]", each).values() if isinstance(each, dict) else [each]
        forms.update(name(str(group)) for group in groups)
    return sorted(forms)


def name(group: str) -> str:
    """Give the normal form of one component group: tidied as matching does, and folded."""
    return fold(tidy_name(group))


def referrers(attributes: Attributes) -> frozenset[str]:
    """Give who referred the patient, each component group of Referring Physician's Name as scopes name it."""
    forms: set[str] = set()
    for each in values(attributes, tags.ReferringPhysicianName):
        groups: Iterable[object] = cast("dict[str, object]", each).values() if isinstance(each, dict) else [each]
        forms.update(referrer(str(group)) for group in groups)
    return frozenset(forms - {""})


def patient(patient_id: str, issuer: str, attributes: Attributes) -> str:
    """Give what tells a patient from others: Patient ID and its issuer; the name where there is no ID.

    A backslash cannot stand inside of any of them (PS3.5 section 6.2, LO).
    """
    parts = [patient_id, issuer]
    if not patient_id:
        parts.append("=".join(names(attributes, tags.PatientName)))
    return "\\".join(parts)
