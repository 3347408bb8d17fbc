"""Whether questions that are asked often are answered from an index, as SQLite itself says."""

from collections.abc import Sequence
from typing import LiteralString

import pytest

from leadglass.archive.backroom import Selection
from leadglass.crypto.database import driver
from leadglass.dicom.matching import Level, Root
from leadglass.policy.action import Action
from leadglass.policy.scope import Field, Scope
from leadglass.vault import browsing, counting, finding, listing, reading
from leadglass.vault.index import sql
from leadglass.vault.index.sql import Value
from leadglass.vault.vault import Vault
from tests.callers import permit
from tests.vault.sets import instance, store
from tests.vault.test_find import asking


class Plans:
    """Notes the plan of each SELECT that a vault's reading side runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        ask = sql.ask

        def noting(connection: "driver.Connection", text: LiteralString, values: Sequence[Value] = ()) -> object:
            if text.startswith("SELECT"):
                self.steps += [str(row[3]) for row in connection.execute("EXPLAIN QUERY PLAN " + text, values)]
            return ask(connection, text, values)

        for module in (finding, counting, reading, listing, browsing):
            monkeypatch.setattr(module, "ask", noting)

    def scans(self) -> list[str]:
        """Give the steps that read a whole table of ours."""
        return [step for step in self.steps if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]  # json_each


SCOPES = {
    "everything": Scope.everything(),
    "a source": Scope.where(Field.SOURCE, "CT1"),
    "patients": Scope.where(Field.PATIENT, "4711", "0815"),
    "patients without an issuer": Scope.patients("4711", "0815"),
}


@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES.keys())
@pytest.mark.parametrize(
    ("level", "keys", "index"),
    [
        (Level.STUDY, {"PatientID": "4711"}, "study_by_patient_id"),
        (Level.STUDY, {"PatientID": "47*"}, "study_by_patient_id"),
        (Level.STUDY, {"PatientName": "Doe*"}, "study_name_by_form"),
        (Level.STUDY, {"StudyDate": "20260101-20260131"}, "study_by_date"),
        (Level.STUDY, {"AccessionNumber": "A1"}, "study_by_accession"),
        (Level.STUDY, {"StudyInstanceUID": ("1.1", "1.2")}, "sqlite_autoindex_study_1"),
        (Level.STUDY, {"PatientID": "4711", "ModalitiesInStudy": "CT"}, "study_by_patient_id"),
        (Level.PATIENT, {"PatientID": "47*"}, "study_by_patient_id"),
        (Level.PATIENT, {"PatientName": "Doe*"}, "study_name_by_form"),
        (Level.SERIES, {"StudyInstanceUID": "1.1"}, "sqlite_autoindex_series_1"),
        (Level.SERIES, {"SeriesInstanceUID": "1.1.1"}, "series_by_uid"),
        (Level.IMAGE, {"SOPInstanceUID": "1.1.1"}, "sqlite_autoindex_instance_1"),
        (Level.IMAGE, {"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1"}, "instance_by_series"),
        (Level.IMAGE, {"PatientName": "Doe*"}, "study_name_by_form"),
    ],
)
def test_a_query_is_answered_from_an_index(
    vault: Vault, scope: Scope, level: Level, keys: dict[str, object], index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(vault, instance())
    plans = Plans(monkeypatch)
    counted = {"NumberOfStudyRelatedInstances": None, "NumberOfPatientRelatedStudies": None}
    list(vault.find(permit(Action.FIND, scope=scope), asking(level, keys | counted, root=Root.PATIENT)))
    assert plans.scans() == []
    assert any(index in step or "study_by_patient_id" in step for step in plans.steps)  # the latter for the scope
    walks = [step for step in plans.steps if "rowid>" in step or "study_by_patient (patient>" in step]
    assert walks == []


@pytest.mark.parametrize(
    "selection",
    [
        Selection(patient_ids=("4711",)),
        Selection(study_uids=("1.2.3.4",)),
        Selection(series_uids=("1.2.3.4.1",)),
        Selection(sop_instance_uids=("1.1",)),
    ],
)
def test_a_retrieval_is_located_from_an_index(
    vault: Vault, selection: Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(vault, instance())
    plans = Plans(monkeypatch)
    vault.locate(permit(Action.GET), Level.STUDY, selection)
    assert plans.scans() == []
