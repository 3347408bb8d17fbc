"""What a decision may look at: a few facts of one study."""

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
    """

    study_uid: str
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    sources: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
