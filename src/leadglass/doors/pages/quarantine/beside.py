"""Beside: an instance in quarantine and the one that is stored under its UID, attribute by attribute.

Rule: what is shown is cut to a bound, whatever the data sets hold, and the list says
when there is more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from leadglass.archive.quarantine import Look, Sight
from leadglass.dicom import uids
from leadglass.dicom.dictionary import uid_name
from leadglass.dicom.model import Attributes, JsonElement, bulk_location
from leadglass.doors.pages.study import reading
from leadglass.doors.pages.study.listing import Row, listed
from leadglass.errors import LeadglassError

MOST: Final = 60
"""Differences that are shown."""
_BLOCK: Final = 1 << 20
_MOST_COMPARED: Final = 256 << 20
"""Bytes of long values that are compared for one page: there may be thousands of them."""

FACTS: Final = (
    ("Patient", "PatientName"),
    ("Patient ID", "PatientID"),
    ("Date of birth", "PatientBirthDate"),
    ("Sex", "PatientSex"),
    ("Accession number", "AccessionNumber"),
    ("Study date", "StudyDate"),
    ("Study", "StudyDescription"),
    ("Modality", "Modality"),
    ("Series", "SeriesDescription"),
    ("Series number", "SeriesNumber"),
    ("Instance number", "InstanceNumber"),
    ("Institution", "InstitutionName"),
    ("Referring physician", "ReferringPhysicianName"),
)
"""What tells people what an image is, with the keyword of each."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One attribute, in quarantine and as stored."""

    name: str
    aside: str
    stored: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Beside:
    """Two instances side by side.

    Parameters
    ----------
    facts : tuple of Fact
        What tells people what they are.
    differences : tuple of Fact
        Every other attribute that differs.
    is_cut : bool
        Whether there are more.
    """

    facts: tuple[Fact, ...]
    differences: tuple[Fact, ...]
    is_cut: bool


def beside(look: Look) -> Beside:
    """Compare what was looked at."""
    stored: Attributes = look.stored.attributes if look.stored is not None else {}
    facts = tuple(
        fact for name, keyword in FACTS if (fact := _fact(name, keyword, look.aside.attributes, stored)) is not None
    )
    if look.stored is None or look.is_same:
        return Beside(facts, (), is_cut=False)
    found = tuple(islice(_differences(look.aside, look.stored), MOST + 1))
    return Beside(facts, found[:MOST], len(found) > MOST)


def _fact(name: str, keyword: str, aside: Attributes, stored: Attributes) -> Fact | None:
    mine, theirs = _shown(aside, keyword), _shown(stored, keyword)
    if not mine and not theirs:
        return None
    return Fact(name, mine, theirs, differs=bool(stored) and mine != theirs)


def _shown(attributes: Attributes, keyword: str) -> str:
    return reading.dated(reading.first(attributes, keyword), reading.element_of(attributes, keyword)["vr"])


def _differences(aside: Sight, stored: Sight) -> Iterator[Fact]:
    if aside.transfer_syntax_uid != stored.transfer_syntax_uid:
        names = uid_name(aside.transfer_syntax_uid), uid_name(stored.transfer_syntax_uid)
        yield Fact("Transfer syntax", *names, differs=True)
    shown = {reading.key_of(keyword) for _, keyword in FACTS}
    mine, theirs = _rows(aside.attributes), _rows(stored.attributes)
    left = _Left(_MOST_COMPARED)
    for tag in sorted(aside.attributes.keys() | stored.attributes.keys()):
        one, other = aside.attributes.get(tag), stored.attributes.get(tag)
        if tag in shown or _is_same(aside, one, stored, other, left):
            continue
        here, there = mine.get(tag), theirs.get(tag)
        row = here or there
        name = row.name if row is not None else ""
        yield Fact(name or f"({tag[:4]},{tag[4:]})".lower(), _said(here), _said(there), differs=True)


def _rows(attributes: Attributes) -> dict[str, Row]:
    return {row.tag.strip("()").replace(",", "").upper(): row for row in listed(attributes).rows if not row.depth}


def _said(row: Row | None) -> str:
    if row is None:
        return ""
    text = reading.clean(row.value, 160)
    return f"{text} items" if row.vr == "SQ" else text


@dataclass(slots=True)
class _Left:
    """Bytes that may still be compared."""

    octets: int


def _is_same(aside: Sight, one: JsonElement | None, stored: Sight, other: JsonElement | None, left: _Left) -> bool:
    if one is None or other is None:
        return one is other
    if "BulkDataURI" not in one or "BulkDataURI" not in other:
        return one == other
    here, there = bulk_location(one["BulkDataURI"]), bulk_location(other["BulkDataURI"])
    is_inflated = {aside.transfer_syntax_uid, stored.transfer_syntax_uid} & set(uids.DEFLATED)
    if here is None or there is None or here[1] != there[1]:
        return False
    if is_inflated or here[1] > left.octets:
        return True  # nobody looked; what the pictures show is beside it
    left.octets -= here[1]
    return _same_bytes(aside, here, stored, there)


def _same_bytes(aside: Sight, here: tuple[int, int], stored: Sight, there: tuple[int, int]) -> bool:
    try:
        with aside.open() as one, stored.open() as other:
            return all(
                one.read_at(here[0] + at, min(_BLOCK, here[1] - at))
                == other.read_at(there[0] + at, min(_BLOCK, here[1] - at))
                for at in range(0, here[1], _BLOCK)
            )
    except LeadglassError:
        return False
