"""Products: what implementation class UIDs and banners are known to belong to.

Rule: a name is given only where this table has it, and of a version only digits and
dots: nothing else that a peer says goes into a finding.
"""

import re
from typing import Final

_VERSION: Final = re.compile(r"(\d{1,4}(?:[._]?\d{1,4}){0,3})")

_ROOTS: Final[tuple[tuple[str, str], ...]] = (
    ("1.2.276.0.7230010.3.", "DCMTK"),
    ("1.2.826.0.1.3680043.9.3811.", "pynetdicom"),
    ("1.2.40.0.13.1.", "dcm4che"),
    ("1.2.826.0.1.3680043.2.135.1066.", "Conquest"),
    ("1.2.826.0.1.3680043.8.641", "Orthanc"),
    ("2.25.104558810232681489379544044640554636717", "Leadglass"),
)


def dicom_product(class_uid: str, version_name: str) -> tuple[str, str]:
    """Give the product and version behind an implementation class UID and version name (PS3.7 D.3.3.2)."""
    product = next((name for root, name in _ROOTS if class_uid.startswith(root)), "")
    if product == "DCMTK" and version_name.startswith("ORTHANC"):
        product = "Orthanc"
    found = _VERSION.search(version_name) if product else None
    return product, found[1].replace("_", ".") if found else ""
