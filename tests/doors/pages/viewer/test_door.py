"""The viewer's page and files over HTTP: whom they are for, under which policy, and for how long they are kept."""

import re
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from leadglass.doors.pages.viewer.site import PAGE_POLICY, WORKER_POLICY, Site, read_site
from tests.doors.pages.browser import Browser, add_person
from tests.peers import phantoms
from tests.peers.web import Web

JSON = {"Accept": "application/dicom+json"}


@pytest.fixture(scope="module")
def site() -> Site:
    read = read_site()
    if read is None:
        pytest.skip("The viewer was left out of this build (LEADGLASS_NO_VIEWER).")
    return read


@pytest.fixture(scope="module")
def study(web: Web, tmp_path_factory: pytest.TempPathFactory) -> phantoms.Study:
    folder: Path = tmp_path_factory.mktemp("phantom")
    made = phantoms.ct(folder, slices=1)
    phantoms.ct(folder, slices=1, study=made.uid, Modality=None, PatientID=f"PH-{made.uid[-6:]}")
    web.leadglass.do("import", folder)
    return made


@pytest.fixture
def reader(web: Web) -> Generator[Browser]:
    add_person(web, "viewing")
    with Browser(web) as browser:
        browser.sign_in("viewing")
        yield browser


def _page(study: phantoms.Study, more: str = "") -> str:
    return f"/viewer/viewer?StudyInstanceUIDs={study.uid}{more}"


def test_the_page_has_its_policy_and_is_kept_by_nobody(reader: Browser, site: Site, study: phantoms.Study) -> None:
    answer = reader.get(_page(study))
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert policy == PAGE_POLICY
    scripts = re.search(r"script-src ([^;]+);", policy)
    assert scripts
    assert scripts[1] == "'self'", "no eval, nothing inline, no other host"
    assert "default-src 'self'" in policy
    assert "object-src 'none'" in policy
    assert "frame-src 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert f"{site.base}{site.script}" in answer.text
    assert "csrf" in answer.text


def test_the_viewer_shows_whose_images_these_are_to_who_may_know(
    web: Web, reader: Browser, site: Site, study: phantoms.Study
) -> None:
    assert 'data-names="yes"' in reader.get(_page(study)).text
    add_person(web, "researching", "researcher", "all")
    with Browser(web) as masked:
        masked.sign_in("researching")
        assert 'data-names="no"' in masked.get(_page(study)).text


def test_only_scripts_of_workers_may_have_code_compiled(reader: Browser, site: Site) -> None:
    allowed = {name for name, file in site.files.items() if file.policy == WORKER_POLICY}
    assert len(allowed) == 6
    for name in [*sorted(allowed), site.script, site.style]:
        answer = reader.client.get(site.base + name)
        assert answer.status_code == 200
        policy = answer.headers["Content-Security-Policy"]
        assert ("unsafe-eval" in policy) == (name in allowed), name
        assert policy == (WORKER_POLICY if name in allowed else PAGE_POLICY)


def test_files_are_sent_compressed_and_kept_for_ever(reader: Browser, site: Site) -> None:
    path = site.base + site.script
    answer = reader.client.get(path)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer.headers["Vary"] == "Accept-Encoding"
    plain = reader.client.get(path, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.content == answer.content
    again = reader.client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert again.content == b""


@pytest.mark.parametrize("name", ["x.js", "site.json", "../site.json", ".made", "app.bundle.css.gz", "%2e%2e/door.py"])
def test_what_is_not_on_the_list_is_not_there(reader: Browser, site: Site, name: str) -> None:
    answer = reader.client.get(site.base + name)
    assert answer.status_code in {400, 404}
    assert b"site" not in answer.content.lower() or answer.status_code == 400


def test_nobody_is_given_anything_before_signing_in(web: Web, site: Site, study: phantoms.Study) -> None:
    with web.client() as client:
        for path in (_page(study), site.base + site.script, site.base + "x"):
            assert client.get(path).status_code == 401


def test_who_signs_in_because_of_an_image_is_led_back_to_it(reader: Browser, study: phantoms.Study) -> None:
    back = _page(study, f"&initialSeriesInstanceUID={study.series}&initialSOPInstanceUID={study.instances[0]}")
    page = reader.client.get("/sign-in", params={"next": back}).text
    assert back.replace("&", "&amp;") in page


def test_what_names_other_sources_is_taken_off_the_address(reader: Browser, study: phantoms.Study) -> None:
    answer = reader.client.get(_page(study, "&url=https://example.org/x.json&token=abc"))
    assert answer.status_code == 303
    assert answer.headers["Location"] == _page(study)


@pytest.mark.parametrize("uid", ["1.2.3.4.5", "1.2.826.0.1.3680043.8.498.1"])
def test_a_study_that_is_not_here_is_not_here(reader: Browser, uid: str) -> None:
    assert reader.get(f"/viewer/viewer?StudyInstanceUIDs={uid}").status_code == 404


@pytest.mark.parametrize("query", ["", "?StudyInstanceUIDs=", "?StudyInstanceUIDs=nonsense", "?x=1"])
def test_without_a_study_one_is_sent_to_choose_one(reader: Browser, query: str, site: Site) -> None:
    for path in ("viewer", "microscopy", ""):
        answer = reader.client.get(f"/viewer/{path}{query}")
        assert answer.status_code == 303
        assert answer.headers["Location"] == "/studies"


def test_the_viewer_is_never_told_of_modalities_without_one(reader: Browser, study: phantoms.Study) -> None:
    found = reader.client.get(
        f"/dicom-web/studies?StudyInstanceUID={study.uid}&includefield=00080061", headers=JSON
    ).json()
    assert len(found) == 1
    assert found[0].get("00080061", {"Value": ["absent"]})["Value"]


def test_a_patients_other_studies_are_filtered_by_scope(web: Web, study: phantoms.Study, tmp_path: Path) -> None:
    patient = f"PH-{study.uid[-6:]}"
    phantoms.ct(tmp_path, slices=1, PatientID=patient)
    web.leadglass.do("import", tmp_path)
    query = f"/dicom-web/studies?00100020={patient}&limit=101&offset=0&fuzzymatching=true"
    with web.client(web.token("radiologist", name="sees-all")) as client:
        assert len(client.get(query).json()) == 2
    with web.client(web.token("referrer", name="sees-one", scope=(f"study={study.uid}",))) as client:
        found = client.get(query).json()
    assert [each["0020000D"]["Value"] for each in found] == [[study.uid]]


def _report(web: Web, body: str | bytes) -> httpx.Response:
    with web.client() as client:
        return client.post("/viewer/reports", content=body, headers={"Content-Type": "application/csp-report"})


@pytest.mark.parametrize("body", ["", "{}", "[]", "{" * 5000, '{"csp-report": 1}', b"\xff\xfe", "x" * 20_000])
def test_a_report_that_is_none_is_thrown_away(web: Web, body: str | bytes) -> None:
    assert _report(web, body).status_code == 204


def test_a_report_leaves_a_line_without_the_address_it_was_about(web: Web) -> None:
    said = {
        "document-uri": "https://pacs.example/viewer/viewer?StudyInstanceUIDs=1.2.840.777",
        "effective-directive": "font-src",
        "blocked-uri": "https://evil.example/1.2.840.777?Lastname^Firstname",
    }
    with web.client() as client:
        assert client.post("/viewer/reports", json={"csp-report": said}).status_code == 204
    text = web.leadglass.log.read_text(encoding="utf-8")
    assert "what a page's policy forbade" in text
    assert "font-src" in text
    assert "another host" in text
    for word in ("1.2.840.777", "evil.example", "Lastname"):
        assert word not in text
