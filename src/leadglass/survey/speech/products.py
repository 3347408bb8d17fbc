"""Products: what implementation class UIDs and banners are known to belong to.

Rule: a name is given only where this table has it, and of a version only digits and
dots: nothing else that a peer says goes into a finding.
"""

import re
from dataclasses import dataclass
from typing import Final

_VERSION: Final = re.compile(r"([0-9]{1,4}(?:[._][0-9]{1,4}){1,3})")
_PACKED: Final = re.compile(r"(?:DCMTK|PYNETDICOM)_([0-9])([0-9])([0-9]{1,2})\Z")

_ROOTS: Final[tuple[tuple[str, str], ...]] = (
    ("1.2.276.0.7230010.3.", "DCMTK"),
    ("1.2.826.0.1.3680043.9.3811.", "pynetdicom"),
    ("1.2.40.0.13.1.", "dcm4che"),
    ("1.2.826.0.1.3680043.2.135.1066.", "Conquest"),
    ("1.2.826.0.1.3680043.8.641", "Orthanc"),
    ("1.2.826.0.1.3680043.9.7133.", "go-netdicom"),
    ("2.25.104558810232681489379544044640554636717", "Leadglass"),
)

NO_ARCHIVES: Final = frozenset({"go-netdicom"})
"""Toolkits that, on the networks of hospitals, are met in honeypots."""


def dicom_product(class_uid: str, version_name: str) -> tuple[str, str]:
    """Give the product and version behind an implementation class UID and version name (PS3.7 D.3.3.2)."""
    product = next((name for root, name in _ROOTS if class_uid.startswith(root)), "")
    if product == "DCMTK" and version_name.startswith("ORTHANC"):
        product = "Orthanc"
    if not product:
        return "", ""
    packed = _PACKED.search(version_name)
    if packed:
        return product, ".".join(packed.groups())
    found = _VERSION.search(version_name)
    return product, found[1].replace("_", ".") if found else ""


@dataclass(frozen=True, slots=True)
class Flaw:
    """A flaw that versions of a product are known to have.

    Parameters
    ----------
    name : str
        Its CVE number.
    product : str
        Of the table above.
    before : str
        The first version without it; empty while there is none.
    what : str
        What it lets somebody do.
    """

    name: str
    product: str
    before: str
    what: str


FLAWS_AS_OF: Final = "2026-11-22"
"""The day to which the table below was kept; what became known later is not in it."""

# DCMTK 3.7.0 and pynetdicom 3.0.4 were the newest on that day, and have these flaws: the next are taken to be without.
FLAWS: Final[tuple[Flaw, ...]] = (
    Flaw("CVE-2025-0896", "Orthanc", "1.5.8", "nobody is asked for a password by default"),
    Flaw("CVE-2023-33466", "Orthanc", "1.12.0", "files are written by way of the REST API"),
    Flaw("CVE-2026-5442", "Orthanc", "1.12.11", "memory is overwritten by a picture's size"),
    Flaw("CVE-2026-5444", "Orthanc", "1.12.11", "memory is overwritten by an embedded picture"),
    Flaw("CVE-2026-5440", "Orthanc", "1.12.11", "it is ended by one HTTP request"),
    Flaw("CVE-2022-2119", "DCMTK", "3.6.7", "files are written outside of their folder"),
    Flaw("CVE-2022-2120", "DCMTK", "3.6.7", "files are written outside of their folder"),
    Flaw("CVE-2021-41687", "DCMTK", "3.6.7", "memory runs out by malformed requests"),
    Flaw("CVE-2024-34508", "DCMTK", "3.6.9", "it is ended by a malformed request"),
    Flaw("CVE-2024-34509", "DCMTK", "3.6.9", "it is ended by a malformed request"),
    Flaw("CVE-2026-50254", "DCMTK", "3.7.1", "memory runs out by repeated associations"),
    Flaw("CVE-2026-35505", "DCMTK", "3.7.1", "memory runs out by repeated associations"),
    Flaw("CVE-2026-56445", "pynetdicom", "3.0.5", "files are written outside of their folder by its program qrscp"),
)


def flaws_of(product: str, version: str) -> tuple[Flaw, ...]:
    """Give the flaws that a version is known to have; none where the version is not known."""
    if not _VERSION.fullmatch(version):
        return ()
    mine = _order(version)
    return tuple(flaw for flaw in FLAWS if flaw.product == product and (not flaw.before or mine < _order(flaw.before)))


def _order(version: str) -> tuple[int, ...]:
    parts = [int(each) for each in re.split(r"[._]", version)]
    return (*parts, *(0 for _ in range(4 - len(parts))))
