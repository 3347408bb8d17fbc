"""What a decision may look at: a few facts of one study."""

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """The facts of one study that a Scope can speak about.

    Parameters
    ----------
    study_uid : str
        Study Instance UID (0020,000D).
    patient_id : str
        Patient ID (0010,0020), empty when unknown.
    issuer_of_patient_id : str
        Issuer of Patient ID (0010,0021), empty when unknown.
    sources : frozenset of str
        Names of the callers that sent instances of the study.
    labels : frozenset of str
        Labels the operator gave the study.
    referrers : frozenset of str
        Who referred the patient: each form of Referring Physician's Name
        (0008,0090), as ``referrer`` writes it.
    """

    study_uid: str
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    sources: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    referrers: frozenset[str] = frozenset()


def referrer(name: str) -> str:
    """Write a name so that the same person's is the same: family and given name, folded; empty when there is none.

    Devices differ in what else they fill in (middle name, title), in case and
    in spaces (PS3.5 6.2.1). Without a given name a name is only like itself.
    """
    parts = [" ".join(part.split()) for part in unicodedata.normalize("NFKC", name).casefold().split("^")[:2]]
    return "^".join(parts).rstrip("^") if parts[0] else ""
