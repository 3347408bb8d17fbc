"""Records: what goes into the index and what comes out of an attempt to file it.

Rule: none of them shows itself in full where it is printed: they hold keys and
patients.
"""

from dataclasses import dataclass

from leadglass.dicom.model import Attributes
from leadglass.vault.objects import Place


@dataclass(frozen=True, slots=True, repr=False)
class Arrived:
    """An instance whose object is on stable storage, ready to be filed.

    Parameters
    ----------
    attributes : Attributes
        All of them, for the study and series rows.
    packed : bytes
        The same, packed for the instance row.
    key : bytes
        The key that its object is sealed with.
    """

    place: Place
    key: bytes
    size: int
    digest: bytes
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    patient_id: str
    issuer_of_patient_id: str
    origin: str
    received: str
    attributes: Attributes
    packed: bytes
    frames: bytes | None


@dataclass(frozen=True, slots=True, repr=False)
class Standing:
    """An instance that is stored under the SOP Instance UID of one that arrived."""

    row: int
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    place: Place
    key: bytes
    digest: bytes
    size: int

    def is_same_as(self, arrived: Arrived) -> bool:
        """Say whether it was received as these very bytes, in this transfer syntax."""
        return self.digest == arrived.digest and self.transfer_syntax_uid == arrived.transfer_syntax_uid


@dataclass(frozen=True, slots=True)
class Filed:
    """It has its row."""


@dataclass(frozen=True, slots=True)
class OtherPatient:
    """Its study is stored, of another patient."""

    what: str


@dataclass(frozen=True, slots=True)
class Healed:
    """It took the place of the same instance, whose object was damaged.

    Parameters
    ----------
    place : Place
        Of the damaged object, which is doomed.
    """

    place: Place


@dataclass(frozen=True, slots=True)
class Submitted:
    """It waits in quarantine.

    Parameters
    ----------
    is_kept : bool
        Whether its object is the one that is kept there; else the same content was there already.
    """

    is_kept: bool


Outcome = Filed | Standing | OtherPatient
"""What became of an attempt to file."""


@dataclass(frozen=True, slots=True)
class Caps:
    """How much quarantine may hold."""

    instances: int
    octets: int


@dataclass(frozen=True, slots=True)
class SubmittedCaps:
    """How much of what was handed in may wait in quarantine, beside what is kept for what is wrong with it.

    Parameters
    ----------
    together : Caps
        From everybody.
    each : Caps
        From one sender.
    """

    together: Caps
    each: Caps
