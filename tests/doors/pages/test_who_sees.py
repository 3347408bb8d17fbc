"""Who sees what: every page and every picture, asked for by every kind of caller; the list is the application's own.

Two patients are stored and one instance waits in quarantine. A page that is added tomorrow is asked for too.
"""

import html
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

import httpx
import pytest

from leadglass.app import App
from leadglass.policy.roles import Role
from tests.doors.pages.browser import Browser, add_person
from tests.doors.pages.quarantine_house import contradict, data_of
from tests.doors.pages.sharing.sharehouse import Link, opened, stored, study
from tests.doors.web.walkhouse import parts_of, routes_of
from tests.peers.web import Web, serving

OURS, OTHERS = 7601, 7602
MARKUP: Final = "X\"><script>alert(1)</script>'<img src=x>"
NAMES: Final = {
    "the shared patient": (b"Sharon", b"SHOWN-1"),
    "the other patient": (b"Olga", b"OTHER-1"),
    "who waits": (b"Wanda", b"WAIT-1"),
}
"""What gives away whom something is of."""

ANYBODYS: Final = frozenset(
    {"/healthz", "/sign-in", "/sign-in/second", "/sign-in/link", "/set-up", "/s/{share}", "/static/{name}"}
)
"""For whoever comes along (``tests/doors/web/test_anonymous.py``)."""

PICTURES: Final = re.compile(r"image/|video/|multipart/|application/(dicom(?!\+json)|pdf|zip|octet-stream)")

DRAWN: Final = re.compile(r'(multipart/related; type=")?image/(jpeg|png|gif)')

BLIND: Final = ("admin", "auditor", "referrer")
"""Roles that see no image and no patient; a referrer has no scope here."""

UNTOLD: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys((*BLIND, "researcher", "masked", "masked look", "receive"), tuple(NAMES)),
    "elsewhere": ("the shared patient", "who waits"),
    "radiologist": ("who waits",),
    "service": ("who waits",),
    "look": ("the other patient", "who waits"),
    "full": ("the other patient", "who waits"),
}
"""By caller, of whom nothing may be heard."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer to one caller."""

    who: str
    path: str
    study: str
    answer: httpx.Response

    @property
    def is_page(self) -> bool:
        return self.answer.headers.get("content-type", "").startswith("text/html")

    @property
    def is_picture(self) -> bool:
        return self.answer.is_success and bool(PICTURES.match(self.answer.headers.get("content-type", "")))

    def __str__(self) -> str:
        kind = self.answer.headers.get("content-type", "")
        return f"{self.who} asked for {self.path}: {self.answer.status_code} {kind}"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Generator[list[Asked]]:
    with serving(tmp_path_factory.mktemp("sees")) as web:
        marked = dict.fromkeys(("StudyDescription", "SeriesDescription", "ProtocolName"), MARKUP[:64])
        stored(web, OURS, PatientID="SHOWN-1", PatientName="Seen^Sharon", BurnedInAnnotation="NO", **marked)
        stored(web, OTHERS, PatientID="OTHER-1", PatientName="Other^Olga")
        contradict(data_of(web), "1.2.9.1", "1.2.9.0", PatientName="Waits^Wanda", PatientID="WAIT-1")
        web.leadglass.do("device", "add", "CT1", "--address", "127.0.0.2", "--allow", "store")
        with parts_of(web) as parts:
            paths = [each.path for each in routes_of(parts) if "GET" in each.methods]
        callers = _callers(web)
        yield [each for who, client in callers.items() for path in paths for each in _ask(web, who, client, path)]
        for client in callers.values():
            client.close()


def _callers(web: Web) -> dict[str, httpx.Client]:
    callers: dict[str, httpx.Client] = {}
    scopes = {"elsewhere": ("technologist", f"study={study(OTHERS)}")}
    for who in (*(role for role in Role if role is not Role.SERVICE), "elsewhere"):
        browser = Browser(web)
        browser.sign_in(add_person(web, f"sees.{who}", *scopes.get(who, (str(who),))))
        assert browser.is_in
        callers[str(who)] = browser.client
    with App().open(web.leadglass.data) as archive:
        people, shares = archive.open_people().people, archive.open_shares()
        reader = people.caller_of(people.get("sees.radiologist"), "local", "made by a test")
        maker = people.caller_of(people.get("sees.technologist"), "local", "made by a test")
        made = {
            name: shares.give(reader, [study(OURS)], may_download="look" not in name, is_masked="masked" in name)
            for name in ("look", "full", "masked", "masked look")
        }
        made["receive"] = shares.receive(maker, note="another practice")
    for who, each in made.items():
        visitor = opened(web, Link(each.share.id, each.secret, each.code))
        assert visitor.status == 200, visitor.page
        callers[who] = visitor.client
    callers["service"] = web.client(web.token("service", name="seeing"))
    return callers


def _ask(web: Web, who: str, client: httpx.Client, path: str) -> Generator[Asked]:
    """Ask for a path of both studies, as a browser and as a program."""
    if path.startswith("/static/") or path == "/dicom-web/events":
        return
    for number in (OURS, OTHERS):
        filled = _filled(path, number)
        for accept in ("text/html", "*/*"):
            if number == OURS or filled != _filled(path, OURS):
                answer = client.get(filled, headers={"Accept": accept})
                yield Asked(who, path, study(number), answer)


def _filled(path: str, number: int) -> str:
    known = {
        "study": study(number), "series": f"{study(number)}.1", "instance": f"{study(number)}.1.1", "number": "1",
        "device": "CT1", "frames": "1", "frame": "1", "name": "sees.radiologist",
    }  # fmt: skip
    return re.sub(r"\{([a-z_]+)(:path)?\}", lambda found: known.get(found[1], "1.2.3"), path)


def test_nobody_hears_of_whom_nothing_may_be_heard(asked: list[Asked]) -> None:
    for each in asked:
        for patient in UNTOLD.get(each.who, ()):
            assert not any(name in each.answer.content for name in NAMES[patient]), f"{each} names {patient}"


def test_who_may_see_does(asked: list[Asked]) -> None:
    """Otherwise the test above could not fail."""
    seen = {(each.who, who) for each in asked for who, names in NAMES.items() if names[0] in each.answer.content}
    told = {("radiologist", "the shared patient"), ("technologist", "who waits"), ("elsewhere", "the other patient")}
    assert told | {("look", "the shared patient"), ("full", "the shared patient")} <= seen
    drawn = {each.who for each in asked if each.is_picture}
    assert {"radiologist", "technologist", "elsewhere", "look", "full", "service"} <= drawn


@pytest.mark.parametrize("who", [*BLIND, "receive"])
def test_who_sees_no_images_is_given_none_by_any_path(who: str, asked: list[Asked]) -> None:
    assert [str(each) for each in asked if each.who == who and each.is_picture] == []


def test_who_may_only_look_is_given_pictures_and_nothing_of_dicom(asked: list[Asked]) -> None:
    for each in asked:
        if each.who in ("look", "masked look"):
            kind = each.answer.headers.get("content-type", "")
            assert not each.is_picture or DRAWN.match(kind), str(each)
            assert b"DICM" not in each.answer.content, str(each)


def test_a_link_leads_to_its_study_and_to_nothing_else(asked: list[Asked]) -> None:
    known = study(OTHERS).encode()
    for each in asked:
        if each.who not in ("look", "full", "masked", "masked look") or each.path in ANYBODYS:
            continue
        assert known not in each.answer.content or not each.answer.is_success, str(each)
        if each.study == study(OTHERS) and each.answer.is_success:
            assert each.answer.json() == [], f"{each}: only an empty list says nothing"


def test_who_sends_by_a_link_is_answered_at_two_places(asked: list[Asked]) -> None:
    given = {each.path for each in asked if each.who == "receive" and each.answer.status_code < 400} - ANYBODYS
    assert given == {"/shared", "/upload", "/upload/session"}


def test_no_markup_of_a_study_is_in_any_page(asked: list[Asked]) -> None:
    for each in asked:
        if each.is_page:
            assert "<script>alert" not in each.answer.text, str(each)
            assert "<img src=x" not in each.answer.text, str(each)
    assert any("<script>alert" in html.unescape(each.answer.text) for each in asked if each.is_page)


def test_nothing_that_is_asked_for_breaks_the_archive_or_runs_without_a_policy(asked: list[Asked]) -> None:
    for each in asked:
        assert each.answer.status_code not in (500, 502, 503), str(each)
        assert each.answer.headers["x-content-type-options"] == "nosniff", str(each)
        policy = each.answer.headers["content-security-policy"]
        assert "default-src" in policy, str(each)
        assert "unsafe-eval" not in policy, str(each)
        assert each.answer.status_code >= 300 or "set-cookie" not in each.answer.headers, str(each)
