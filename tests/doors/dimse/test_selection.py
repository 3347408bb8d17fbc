import pytest

from leadglass.archive.backroom import Selection
from leadglass.dicom.matching import Level, Root
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.tags import (
    PatientID,
    QueryRetrieveLevel,
    SeriesInstanceUID,
    SOPInstanceUID,
    StudyInstanceUID,
    key,
)
from leadglass.doors.dimse.selection import read_selection
from leadglass.errors import BadInput

VRS = {QueryRetrieveLevel: "CS", PatientID: "LO"}


def identifier(values: dict[int, list[str]]) -> Attributes:
    return {key(tag): JsonElement(vr=VRS.get(tag, "UI"), Value=list(value)) for tag, value in values.items()}


def test_patient_root_wants_every_unique_key_down_to_the_level() -> None:
    asked = identifier(
        {
            QueryRetrieveLevel: ["SERIES"],
            PatientID: ["P1"],
            StudyInstanceUID: ["1.2"],
            SeriesInstanceUID: ["1.3", "1.4"],
        }
    )
    assert read_selection(asked, Root.PATIENT, relational=False) == (
        Level.SERIES,
        Selection(patient_ids=("P1",), study_uids=("1.2",), series_uids=("1.3", "1.4")),
    )


def test_study_root_does_without_the_patient() -> None:
    asked = identifier({QueryRetrieveLevel: ["STUDY"], StudyInstanceUID: ["1.2"]})
    assert read_selection(asked, Root.STUDY, relational=False) == (Level.STUDY, Selection(study_uids=("1.2",)))


def test_study_root_narrows_by_a_patient_that_is_named_all_the_same() -> None:
    asked = identifier({QueryRetrieveLevel: ["STUDY"], StudyInstanceUID: ["1.2"], PatientID: ["P1"]})
    assert read_selection(asked, Root.STUDY, relational=False)[1].patient_ids == ("P1",)


def test_relational_retrieval_does_without_the_keys_above() -> None:
    asked = identifier({QueryRetrieveLevel: ["IMAGE"], SOPInstanceUID: ["1.9"]})
    assert read_selection(asked, Root.PATIENT, relational=True) == (Level.IMAGE, Selection(sop_instance_uids=("1.9",)))
    with pytest.raises(BadInput, match="Patient ID is missing"):
        read_selection(asked, Root.PATIENT, relational=False)


@pytest.mark.parametrize("relational", [True, False])
@pytest.mark.parametrize("value", [[], [""]])
def test_an_empty_unique_key_at_the_level_never_means_everything(value: list[str], relational: bool) -> None:
    asked = identifier({QueryRetrieveLevel: ["STUDY"], StudyInstanceUID: value, PatientID: ["P1"]})
    with pytest.raises(BadInput, match="Study Instance UID is missing"):
        read_selection(asked, Root.STUDY, relational=relational)


def test_a_wild_card_is_no_uid() -> None:
    asked = identifier({QueryRetrieveLevel: ["STUDY"], StudyInstanceUID: ["*"]})
    with pytest.raises(BadInput):
        read_selection(asked, Root.STUDY, relational=True)


@pytest.mark.parametrize(
    ("level", "root"),
    [([], Root.PATIENT), (["FRAME"], Root.PATIENT), (["PATIENT"], Root.STUDY), (["study"], Root.STUDY)],
)
def test_the_level_is_one_of_the_model(level: list[str], root: Root) -> None:
    asked = identifier({QueryRetrieveLevel: level, PatientID: ["P1"], StudyInstanceUID: ["1.2"]})
    with pytest.raises(BadInput):
        read_selection(asked, root, relational=False)


def test_above_the_level_there_is_one_value() -> None:
    asked = identifier({QueryRetrieveLevel: ["SERIES"], StudyInstanceUID: ["1.2", "1.3"], SeriesInstanceUID: ["1.4"]})
    with pytest.raises(BadInput, match="one value"):
        read_selection(asked, Root.STUDY, relational=False)
