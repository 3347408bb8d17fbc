"""Login pages and listings: what opens them is found, told as a class, and left again."""

from collections import Counter
from pathlib import Path

import pytest

from leadglass.survey.checks import directory_listing, http_identify, portal_in_clear, web_credentials
from leadglass.survey.scope import Level
from tests.peers.orthanc import orthanc
from tests.survey.nginx import nginx
from tests.survey.portal import CANARY, portal
from tests.survey.visiting import visit

CHECKS = (http_identify.CHECK, portal_in_clear.CHECK, directory_listing.CHECK, web_credentials.CHECK)


def test_a_portal_that_takes_blank_credentials_is_found_and_left(tmp_path: Path) -> None:
    with portal(lambda user, password: user == password == "") as seen:
        visited = visit(tmp_path, seen.port, CHECKS, Level.OPT_IN)
    assert visited.rungs == {"portal-in-clear": "E1", "web-credentials": "E4"}
    assert visited.finding("portal-in-clear").severity == "low"  # from inside; it turns strangers away, as it believes
    found = visited.finding("web-credentials")
    assert (found.severity, found.proof["class"], found.proof["logged out"]) == ("critical", "blank", "yes")
    assert seen.tries == [("", "")]
    assert (seen.opened, seen.left, seen.sessions) == (1, 1, set())
    assert CANARY not in visited.said


def test_a_default_password_is_told_as_its_class_only(tmp_path: Path) -> None:
    with portal(lambda user, password: (user, password) == ("admin", "admin")) as seen:
        visited = visit(tmp_path, seen.port, CHECKS, Level.OPT_IN)
    assert visited.finding("web-credentials").proof["class"] == "common default"
    assert '"admin' not in visited.journal
    assert "admin" not in repr(visited.finding("web-credentials").proof)


def test_no_account_is_tried_more_than_three_times(tmp_path: Path) -> None:
    with portal(lambda _user, _password: False) as seen:
        visited = visit(tmp_path, seen.port, CHECKS, Level.OPT_IN)
    assert visited.rungs == {"portal-in-clear": "E1"}
    assert seen.tries
    assert max(Counter(user for user, _ in seen.tries).values()) <= 3
    for product in ("", "Orthanc", "dcm4chee", "XNAT", "QNAP"):
        tried = Counter(pair.user for pair in web_credentials.pairs(product))
        assert max(tried.values()) <= web_credentials.MOST_TRIES


def test_no_password_is_tried_below_level_3(tmp_path: Path) -> None:
    with portal(lambda _user, _password: True) as seen:
        visited = visit(tmp_path, seen.port, CHECKS, Level.PROVE)
    assert seen.tries == []
    assert visited.rungs == {"portal-in-clear": "E1"}


@pytest.mark.parametrize(("password", "is_open"), [("orthanc", True), ("another one", False)])
def test_orthanc_with_the_password_of_its_handbook_is_open(tmp_path: Path, password: str, *, is_open: bool) -> None:
    users: dict[str, bool | int | float | str | None] = {"orthanc": password}
    with orthanc(tmp_path / "o", {}, more={"AuthenticationEnabled": True, "RegisteredUsers": dict(users)}) as peer:
        visited = visit(tmp_path, peer.http, CHECKS, Level.OPT_IN)
    assert ("web-credentials" in visited.rungs) is is_open
    assert visited.rungs["portal-in-clear"] == "E1"


@pytest.mark.parametrize(
    ("level", "rung"), [(Level.PROVE, "E4"), (Level.OPT_IN, "E5")], ids=["names only", "beginnings too"]
)
def test_a_listing_of_images_is_counted_and_its_names_are_forgotten(tmp_path: Path, level: Level, rung: str) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(7):
        (files / f"{CANARY}{number}.dcm").write_bytes(bytes(128) + b"DICM" + CANARY.encode() * 1_000)
    (files / f"{CANARY}.txt").write_text(CANARY)
    with nginx(tmp_path / "nginx", f"root {files}; autoindex on;") as port:
        visited = visit(tmp_path, port, CHECKS, level)
    assert visited.rungs == {"directory-listing": rung}
    proof = visited.finding("directory-listing").proof
    assert (proof["names"], proof["look like DICOM"]) == (8, 7)
    assert ("are DICOM" in proof) is (level is Level.OPT_IN)
    assert proof.get("are DICOM", 5) == 5
    assert CANARY not in visited.said
