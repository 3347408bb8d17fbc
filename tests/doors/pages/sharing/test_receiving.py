"""Receive links: whoever has one sends files into quarantine, so many and no more, and sees nothing."""

import io
import re
import zipfile
from collections.abc import Generator, Iterator
from time import sleep

import httpx
import pytest

from leadglass.app import App
from leadglass.archive.backroom import Kept
from leadglass.doors.web.evidence import SHARE_COOKIE
from tests.doors.cli.clihouse import file_of, image, uid
from tests.doors.pages.browser import Browser
from tests.doors.pages.sharing.sharehouse import FIRST, Link, issuer, link_on, opened, stored, study
from tests.peers.web import Web

OUTSIDE = 7300
"""Studies that come from outside are numbered from here."""


@pytest.fixture
def technologist(web: Web) -> Generator[Browser]:
    with issuer(web, "receiver", "technologist") as browser:
        yield browser


def made(browser: Browser, **fields: str) -> Link:
    browser.get("/shares/receive")
    answer = browser.send("/shares/receive", **{"note": "Practice B", "lock": "none", "days": "7", **fields})
    assert answer.status_code == 200, browser.page
    return link_on(browser.page)


def files_of(number: int, instances: int) -> list[tuple[str, bytes]]:
    return [(f"{number}-{each}.dcm", file_of(image(number, 1, each))) for each in range(1, instances + 1)]


def send(visitor: Browser, files: list[tuple[str, bytes]]) -> httpx.Response:
    visitor.get("/shared")
    parts = [("file", (name, data, "application/octet-stream")) for name, data in files]
    return visitor.client.post(
        "/upload/files", data={"csrf": visitor.csrf}, files=parts, headers={"Sec-Fetch-Site": "same-origin"}
    )


def kept(web: Web, number: int) -> list[Kept]:
    with App().open(web.leadglass.data) as archive:
        return [each for each in archive.archive.quarantined(archive.caller) if each.study_uid == uid(number)]


def is_filed(web: Web, number: int) -> bool:
    with web.client(web.token("service", name=f"looks-for-{number}")) as client:
        found = client.get(f"/dicom-web/studies?StudyInstanceUID={uid(number)}", headers={"Accept": "application/json"})
    return found.status_code == 200 and found.json() != []


def test_what_is_sent_waits_in_quarantine_under_the_links_name(web: Web, technologist: Browser) -> None:
    link = made(technologist, lock="pin")
    with opened(web, link, link.code) as visitor:
        assert "Practice B" in visitor.page
        answer = send(visitor, files_of(OUTSIDE, 2))
        assert answer.status_code == 200, answer.text
    waiting = kept(web, OUTSIDE)
    assert len(waiting) == 2
    assert all(link.id in each.origin for each in waiting)
    assert not is_filed(web, OUTSIDE)
    page = technologist.get(f"/shares/{link.id}").text
    assert "2 of 5000 files" in page
    assert "sent images in" in page


def test_whoever_sends_sees_nothing(web: Web, technologist: Browser) -> None:
    stored(web, FIRST)
    link = made(technologist)
    with opened(web, link) as visitor:
        for path in (
            "/", "/studies", f"/studies/{study(FIRST)}", f"/look/{study(FIRST)}", "/quarantine", "/shares", "/account",
            "/dicom-web/studies", f"/dicom-web/studies/{study(FIRST)}", f"/studies/{study(FIRST)}/download",
            f"/dicom-web/studies/{study(FIRST)}/metadata", "/viewer/", "/people", "/audit",
        ):  # fmt: skip
            assert visitor.get(path).status_code == 404, path
        fields = {"Sec-Fetch-Site": "same-origin", "Content-Type": 'multipart/related; type="application/dicom"'}
        assert visitor.client.post("/dicom-web/studies", content=b"", headers=fields).status_code in (403, 404)
        # What is here already is taken like anything else, and nobody is told.
        answer = send(visitor, [("a.dcm", file_of(image(FIRST, 1, 1)))])
        assert answer.status_code == 200
        assert "was here already" not in re.sub(r'data-\w+="[^"]*"', "", answer.text)


def test_no_more_comes_than_the_link_takes(web: Web, technologist: Browser) -> None:
    link = made(technologist, most_files="3")
    with opened(web, link) as visitor:
        assert send(visitor, files_of(OUTSIDE + 1, 2)).status_code == 200
        assert send(visitor, files_of(OUTSIDE + 2, 1)).status_code == 200
        refused = send(visitor, files_of(OUTSIDE + 3, 1))
        assert refused.status_code == 413
        assert "More was sent than this link takes" in refused.text
    assert len(kept(web, OUTSIDE + 1)) == 2
    assert kept(web, OUTSIDE + 3) == []


def test_a_zip_is_left_where_the_links_measure_is_full(web: Web, technologist: Browser) -> None:
    link = made(technologist, most_files="4")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files_of(OUTSIDE + 4, 300):
            archive.writestr(name, data)
    with opened(web, link) as visitor:
        send(visitor, [("all.zip", packed.getvalue())])
        assert send(visitor, files_of(OUTSIDE + 5, 1)).status_code == 413
    assert 1 <= len(kept(web, OUTSIDE + 4)) < 300


def test_sending_ends_with_the_link_and_with_its_makers_right(web: Web, technologist: Browser) -> None:
    link = made(technologist)
    with opened(web, link) as visitor:
        assert send(visitor, files_of(OUTSIDE + 6, 1)).status_code == 200
        token = visitor.csrf
        technologist.get(f"/shares/{link.id}")
        technologist.send(f"/shares/{link.id}/revoke")
        answer = visitor.client.post(
            "/upload/files",
            data={"csrf": token},
            files=[("file", ("a", files_of(OUTSIDE + 7, 1)[0][1], "application/octet-stream"))],
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert answer.status_code == 401
    assert kept(web, OUTSIDE + 7) == []


def test_files_that_are_on_their_way_when_the_link_ends_are_not_taken(web: Web, technologist: Browser) -> None:
    """Somebody who sends slowly would go on for hours."""
    link = made(technologist)
    with opened(web, link) as visitor:
        first, second = (data for _, data in files_of(OUTSIDE + 9, 2))
        begins = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        pieces = [begins + first + b"\r\n", begins + second[:200], second[200:] + b"\r\n--b--\r\n"]

        def slowly() -> Iterator[bytes]:
            yield pieces[0]
            technologist.get(f"/shares/{link.id}")
            technologist.send(f"/shares/{link.id}/revoke")
            sleep(0.6)
            yield pieces[1]
            yield pieces[2]

        headers = {
            "Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(sum(map(len, pieces))),
            "X-Leadglass-CSRF": visitor.csrf, "Sec-Fetch-Site": "same-origin",
        }  # fmt: skip
        answer = visitor.client.post("/upload/files", content=slowly(), headers=headers)
        assert answer.status_code == 404
    assert kept(web, OUTSIDE + 9) == []


def test_files_without_the_token_of_the_page_are_refused(web: Web, technologist: Browser) -> None:
    link = made(technologist)
    with opened(web, link) as visitor:
        visit = visitor.client.cookies[SHARE_COOKIE]
        parts = [("file", ("a", files_of(OUTSIDE + 8, 1)[0][1], "application/octet-stream"))]
        for site in ("same-origin", "cross-site"):
            answer = visitor.client.post("/upload/files", files=parts, headers={"Sec-Fetch-Site": site})
            assert answer.status_code == 403
    assert visit
    assert kept(web, OUTSIDE + 8) == []
