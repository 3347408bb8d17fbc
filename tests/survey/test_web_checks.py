"""Web checks against Orthanc, open and closed, alone and behind nginx: the right rung, and no word of a peer."""

from collections.abc import Generator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite  # pyright: ignore[reportUnknownVariableType]
from pydicom.data import get_testdata_file

from leadglass.survey.checks import dicomweb_null_match, http_identify, orthanc_rest, volume
from leadglass.survey.scope import Level
from tests.peers.orthanc import Orthanc, orthanc
from tests.survey.nginx import nginx
from tests.survey.visiting import visit

CHECKS = (http_identify.CHECK, dicomweb_null_match.CHECK, orthanc_rest.CHECK, volume.CHECK)
CANARY = "CANARYWEB"


def _canary() -> bytes:
    """Give an object whose every text is a canary."""
    path = get_testdata_file("CT_small.dcm")
    assert isinstance(path, str)
    read = dcmread(path)
    for element in read:
        if element.VR in {"LO", "SH", "PN", "ST", "LT", "AE"}:
            element.value = f"{CANARY}{element.tag:08X}"[:16]
    out = BytesIO()
    dcmwrite(out, read)
    return out.getvalue()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Generator[Orthanc]:
    """Orthanc as whoever follows an old tutorial has it, with one image."""
    folder = tmp_path_factory.mktemp("open")
    with orthanc(folder, {}, ae_title=CANARY, dicomweb={}, more={"Name": f"{CANARY} HOUSE"}) as peer:
        status, _ = peer.raw("POST", "/instances", _canary())
        assert status == 200
        yield peer


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Generator[Orthanc]:
    """Orthanc that asks for a password."""
    more: dict[str, bool | dict[str, str]] = {
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"orthanc": "orthanc"},
    }
    with orthanc(tmp_path_factory.mktemp("closed"), {}, dicomweb={}, more=more) as peer:  # pyright: ignore[reportArgumentType]
        yield peer


def test_an_open_orthanc_is_open_to_the_top_of_the_ladder(opened: Orthanc, tmp_path: Path) -> None:
    seen = visit(tmp_path, opened.http, CHECKS, Level.OPT_IN)
    assert seen.rungs == {
        "http-identify": "E1",
        "dicomweb-null-match": "E3",
        "orthanc-rest": "E4",
        "volume-orthanc": "E5",
    }
    assert seen.finding("volume-orthanc").proof == {"studies": "1-9", "images": "1-9"}
    assert seen.finding("orthanc-rest").proof["version"] == "1.10.1"
    assert not seen.outcome.not_tested
    assert CANARY not in seen.said


def test_nothing_is_counted_below_level_3(opened: Orthanc, tmp_path: Path) -> None:
    seen = visit(tmp_path, opened.http, CHECKS, Level.PROVE)
    assert "volume-orthanc" not in seen.rungs
    assert "statistics" not in seen.journal


def test_an_orthanc_that_asks_for_a_password_turns_strangers_away(closed: Orthanc, tmp_path: Path) -> None:
    seen = visit(tmp_path, closed.http, CHECKS, Level.OPT_IN)
    assert seen.rungs == {"http-identify": "E1"}
    assert seen.finding("http-identify").proof == {"product": "Orthanc", "by": "realm", "status": 401}


def test_what_is_open_behind_nginx_is_open(opened: Orthanc, tmp_path: Path) -> None:
    lines = f"location /pacs/ {{ proxy_pass http://127.0.0.1:{opened.http}/; }}"
    with nginx(tmp_path / "nginx", lines) as port:
        seen = visit(tmp_path, port, CHECKS)
    assert seen.rungs == {"dicomweb-null-match": "E3", "orthanc-rest": "E4"}
    assert seen.finding("dicomweb-null-match").proof["root"] == "/pacs/dicom-web"
    assert seen.finding("orthanc-rest").proof["path"] == "/pacs/system"


def test_a_proxy_that_passes_only_dicomweb_and_only_reading_opens_only_that(opened: Orthanc, tmp_path: Path) -> None:
    lines = (
        "location /dicom-web/ { limit_except GET { deny all; } "
        f"proxy_pass http://127.0.0.1:{opened.http}/dicom-web/; }}"
    )
    with nginx(tmp_path / "nginx", lines) as port:
        seen = visit(tmp_path, port, CHECKS)
    assert seen.rungs == {"dicomweb-null-match": "E3"}


def test_what_is_offered_to_store_and_to_read_goes_one_rung_higher(opened: Orthanc, tmp_path: Path) -> None:
    lines = (
        "location /dicom-web/ { add_header Allow 'GET, POST'; if ($request_method = OPTIONS) { return 204; } "
        f"proxy_pass http://127.0.0.1:{opened.http}/dicom-web/; }}"
    )
    with nginx(tmp_path / "nginx", lines) as port:
        seen = visit(tmp_path, port, CHECKS)
    assert seen.rungs == {"dicomweb-null-match": "E4"}
    assert seen.finding("dicomweb-null-match").proof["offers"] == "STOW-RS, WADO-RS"


@pytest.mark.parametrize("refusal", ["return 401;", "return 403;", "return 302 /login;", "deny all;"])
def test_what_is_closed_by_nginx_is_closed(opened: Orthanc, tmp_path: Path, refusal: str) -> None:
    lines = f"location / {{ {refusal} proxy_pass http://127.0.0.1:{opened.http}/; }} location /login {{ return 200; }}"
    with nginx(tmp_path / "nginx", lines) as port:
        seen = visit(tmp_path, port, CHECKS)
    assert seen.rungs == {}


@pytest.mark.parametrize("answer", ["return 204;", "default_type application/dicom+json; return 200 '[]';"])
def test_a_server_that_says_the_same_to_everything_proves_nothing(tmp_path: Path, answer: str) -> None:
    with nginx(tmp_path / "nginx", f"location / {{ {answer} }}") as port:
        seen = visit(tmp_path, port, CHECKS, Level.OPT_IN)
    assert seen.rungs == {}


def test_records_that_come_all_the_same_are_dropped_unread(tmp_path: Path) -> None:
    given = f'default_type application/dicom+json; return 200 \'[{{"00100010":"{CANARY}"}}]\';'
    with nginx(tmp_path / "nginx", f"location /dicom-web/ {{ {given} }}") as port:
        seen = visit(tmp_path, port, CHECKS)
    assert seen.rungs == {"dicomweb-null-match": "E5"}
    assert CANARY not in seen.said
