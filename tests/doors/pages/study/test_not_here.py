"""What is shown where there is no study: the same, whether there is one or not, and a way on in an emergency."""

from pathlib import Path

import pytest

from leadglass.dicom.part10 import file_meta
from tests.doors.pages.browser import Browser, add_person
from tests.peers.web import Web
from tests.vault.sets import CT, EXPLICIT, data_set, encoded

UID = "1.2.826.0.1.3680043.10.2"


@pytest.fixture(scope="module", autouse=True)
def _there(web: Web, tmp_path_factory: pytest.TempPathFactory) -> None:
    path: Path = tmp_path_factory.mktemp("there") / "one"
    made = data_set(StudyInstanceUID=UID, SeriesInstanceUID=f"{UID}.1", SOPInstanceUID=f"{UID}.1.1", PatientID="nh-1")
    path.write_bytes(file_meta(CT, f"{UID}.1.1", EXPLICIT) + encoded(made))
    web.leadglass.do("import", path)


@pytest.mark.parametrize("path", ["/studies/{}", "/look/{}", "/documents/{0}/{0}.1/{0}.1.1", "/studies/{}/download"])
def test_who_treats_patients_is_told_of_emergencies_whether_there_is_a_study_or_not(web: Web, path: str) -> None:
    name = add_person(web, "nh-referrer", "referrer", "patient=somebody-else")
    with Browser(web) as browser:
        browser.sign_in(name)
        outside, nowhere = browser.get(path.format(UID)), browser.get(path.format("1.2.826.0.1.3680043.10.99"))
        assert (outside.status_code, nowhere.status_code) == ((404, 404) if "download" not in path else (403, 403))
        assert outside.text == nowhere.text
        if outside.status_code == 404:
            assert 'href="/break-glass"' in outside.text


def test_who_treats_nobody_is_not(web: Web) -> None:
    name = add_person(web, "nh-researcher", "researcher", "patient=somebody-else")
    with Browser(web) as browser:
        browser.sign_in(name)
        answer = browser.get(f"/studies/{UID}")
        assert answer.status_code == 404
        assert "/break-glass" not in answer.text


def test_what_was_opened_in_an_emergency_is_there(web: Web) -> None:
    name = add_person(web, "nh-surgeon", "referrer", "patient=somebody-else")
    with Browser(web) as browser:
        browser.sign_in(name)
        assert browser.get(f"/look/{UID}").status_code == 404
        browser.get("/break-glass")
        browser.send("/break-glass", field="study", value=UID, reason="Bleeding, in theatre two, no time to ask")
        assert browser.get(f"/look/{UID}").status_code == 200
        assert "Image 1 of 1" in browser.page
        assert browser.get(f"/studies/{UID}").status_code == 200


def test_somebody_without_images_is_told_that_it_is_not_permitted(web: Web) -> None:
    name = add_person(web, "nh-auditor", "auditor")
    with Browser(web) as browser:
        browser.sign_in(name)
        for uid in (UID, "1.2.826.0.1.3680043.10.99"):
            assert browser.get(f"/studies/{uid}").status_code == 403


def test_nobody_sees_a_study_without_signing_in(web: Web) -> None:
    with Browser(web) as browser:
        for path in (f"/studies/{UID}", f"/look/{UID}", f"/documents/{UID}/1.2/1.2.3", f"/studies/{UID}/download"):
            assert browser.get(path).status_code == 401
            assert "Doe" not in browser.page
