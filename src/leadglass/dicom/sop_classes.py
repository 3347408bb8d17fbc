"""The SOP classes that the archive knows, by UID.

Rule: the storage classes are derived from the Standard's own list at first use, and
those that came later are named here.
"""

from collections.abc import Container
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from leadglass.dicom import dictionary

if TYPE_CHECKING:
    STORAGE: frozenset[str]

VERIFICATION: Final = "1.2.840.10008.1.1"
MEDIA_STORAGE_DIRECTORY: Final = "1.2.840.10008.1.3.10"
STORAGE_COMMITMENT_PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
STORAGE_COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""The one well-known instance of that class (PS3.4 J.3.5)."""

PATIENT_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"

_STANDARDS_ROOT: Final = "1.2.840.10008."
_STANDARDS_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
"""Where the Standard puts storage classes, those after our list was made too."""
_NEWER: Final = MappingProxyType(
    {
        "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
        "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
    }
)
"""Storage classes that came into the Standard after pydicom's list was made."""

FIND: Final = frozenset({PATIENT_ROOT_FIND, STUDY_ROOT_FIND})
MOVE: Final = frozenset({PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE})
GET: Final = frozenset({PATIENT_ROOT_GET, STUDY_ROOT_GET})
PATIENT_ROOT: Final = frozenset({PATIENT_ROOT_FIND, PATIENT_ROOT_MOVE, PATIENT_ROOT_GET})
QUERY_RETRIEVE: Final = FIND | MOVE | GET


@cache
def storage() -> frozenset[str]:
    """Give every storage SOP class of the Standard, retired ones too (PS3.4 Annex B, GG)."""
    return frozenset(
        uid
        for uid, (name, kind, _, _, _) in dictionary.uids().items()
        if kind == "SOP Class" and uid.startswith("1.2.840.10008.5.") and "Storage" in name
    ) | frozenset(_NEWER)


def is_of_other_service(uid: str) -> bool:
    """Say whether a class is one of the Standard's that is none of storage."""
    return uid.startswith(_STANDARDS_ROOT) and not uid.startswith(_STANDARDS_STORAGE) and uid not in storage()


def may_be_taken_in(uid: str, private: Container[str]) -> bool:
    """Say whether instances of a class are taken in: the Standard's storage classes, and private ones that are listed.

    Parameters
    ----------
    uid : str
        The SOP class of the data set.
    private : container of str
        Private storage SOP classes that the operator listed.
    """
    return uid in private or (uid.startswith(_STANDARDS_ROOT) and not is_of_other_service(uid))


def __getattr__(name: str) -> frozenset[str]:
    """Give ``STORAGE``: computed when first asked for, since nothing happens on import."""
    if name == "STORAGE":
        return storage()
    raise AttributeError(name)


def name_of(uid: str) -> str:
    """Give the name of a SOP class of the Standard; the UID itself for others."""
    return _NEWER.get(uid) or dictionary.uid_name(uid)
