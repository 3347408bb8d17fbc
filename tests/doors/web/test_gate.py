"""What every request passes and every answer bears."""

import json
from collections.abc import Generator
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from leadglass.doors.web.evidence import peer_of
from leadglass.doors.web.health import routes as health_routes
from leadglass.doors.web.routes import Access, Asked, Route
from leadglass.doors.web.settings import WebSettings
from leadglass.errors import BadInput, Busy, Denied, NotHere, Throttled
from tests.doors.web import webhouse
from tests.doors.web.webhouse import TOKEN, House

ORIGIN = "https://viewer.example.org"
PATIENT = "DOE^JANE"


async def _peer(request: Request) -> Response:
    return PlainTextResponse(peer_of(request))


async def _own(asked: Asked) -> Response:
    own = {"Cache-Control": "max-age=60", "Content-Security-Policy": "default-src 'self'", "Vary": "Accept"}
    return PlainTextResponse("x", headers=own)


async def _fails(asked: Asked) -> Response:
    match asked.request.path_params["how"]:
        case "denied":
            raise Denied(f"{PATIENT} is not yours")
        case "not-here":
            raise NotHere(f"There is no {PATIENT}")
        case "bad":
            raise BadInput("The key is none. Write another.")
        case "throttled":
            raise Throttled("Enough.", 7)
        case _:
            raise ZeroDivisionError(PATIENT)


ROUTES = [
    *health_routes(None),  # pyright: ignore[reportArgumentType] - it needs nothing
    Route("/peer", ("GET",), _peer, Access.ANONYMOUS, why="a test asks without a token"),
    Route("/own", ("GET",), _own),
    Route("/fails/{how}", ("GET",), _fails),
]

SETTINGS = WebSettings(
    hosts=frozenset({"localhost", "127.0.0.1", "::1", "archive.example.org"}), allowed_origins=frozenset({ORIGIN})
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    with webhouse.opened(tmp_path_factory.mktemp("gate"), ROUTES, settings=SETTINGS) as running:
        yield running


# --- answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/own", "/fails/denied", "/fails/fault", "/nothing"])
@pytest.mark.parametrize("token", [TOKEN, None])
def test_every_answer_bears_what_browsers_need_to_be_told(path: str, token: str | None, house: House) -> None:
    with house.client(token) as client:
        fields = client.get(path).headers
    assert fields["x-content-type-options"] == "nosniff"
    assert fields["x-frame-options"] == "DENY"
    assert fields["referrer-policy"] == "no-referrer"
    assert fields["cross-origin-opener-policy"] == "same-origin"
    assert fields["cross-origin-resource-policy"] == "same-origin"
    assert fields["strict-transport-security"].startswith("max-age=")
    assert "default-src" in fields["content-security-policy"]
    assert fields["cache-control"]
    assert len(fields["x-request-id"]) == 16
    assert "server" not in fields
    assert "date" in fields


def test_a_handler_may_decide_otherwise_and_nobody_by_accident(house: House) -> None:
    with house.client() as client:
        own, other = client.get("/own").headers, client.get("/healthz").headers
    assert own.get_list("cache-control") == ["max-age=60"]
    assert own.get_list("content-security-policy") == ["default-src 'self'"]
    assert other["cache-control"] == "no-store"
    assert other["content-security-policy"].startswith("default-src 'none'")


def test_browsers_are_not_told_to_use_tls_with_every_program_of_this_machine(house: House) -> None:
    with house.client() as client:
        assert "strict-transport-security" not in client.get("/healthz", headers={"Host": "localhost:1"}).headers


def test_health_says_ok_and_nothing_else(house: House) -> None:
    with house.client(None) as client:
        answer = client.get("/healthz")
        assert (answer.status_code, answer.text) == (200, "ok")
        assert client.head("/healthz").content == b""
        assert client.post("/healthz").status_code == 401


STATUSES = {"denied": 403, "not-here": 404, "bad": 400, "throttled": 429, "fault": 500}


@pytest.mark.parametrize(("how", "status"), STATUSES.items())
def test_a_fault_is_a_problem_document_without_patient_data(how: str, status: int, house: House) -> None:
    with house.client() as client:
        answer = client.get(f"/fails/{how}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.content)["status"] == status
    assert PATIENT not in answer.text
    assert ("retry-after" in answer.headers) is (how == "throttled")


def test_who_is_known_hears_what_is_not_there_and_what_is_done_there(house: House) -> None:
    with house.client() as client:
        assert client.get("/nothing").status_code == 404
        answer = client.delete("/own")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_a_log_that_cannot_be_written_lets_nobody_in(house: House) -> None:
    house.log.fails = Busy("The disk is full.")
    try:
        with house.client(None) as client:
            assert client.get("/own").status_code == 401
    finally:
        house.log.fails = None


def test_when_it_cannot_be_said_who_asks_nobody_is_let_in(house: House) -> None:
    house.book.fails = Busy("The database is locked.")
    try:
        with house.client() as client:
            assert client.get("/own").status_code == 503
    finally:
        house.book.fails = None


def test_two_authorization_fields_are_nobody(house: House) -> None:
    with house.client(None) as client:
        fields = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
        assert client.get("/own", headers=fields).status_code in (400, 401)


# --- hosts --------------------------------------------------------------------------------

GOOD_HOSTS = """
    localhost LOCALHOST localhost:8443 127.0.0.1:1 [::1] [::1]:8443 archive.example.org Archive.Example.org.
    archive.example.org:443 localhost: localhost:65535
""".split()  # noqa: SIM905 - a list of words
BAD_HOSTS = """
    evil localhost.evil evil.localhost localhost@evil evil:443 127.0.0.2 127.1 2130706433 0x7f.0.0.1 localhost:x
    localhost:65536 localhost:99999 localhost:000080 localhost:80:80 ::1 [::1 localhost/ localhost# * [::2]
""".split()  # noqa: SIM905 - a list of words


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_a_request_for_this_host_is_answered(host: str, house: House) -> None:
    with house.client() as client:
        assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["", *BAD_HOSTS])
def test_a_request_for_another_host_is_misdirected(host: str, house: House) -> None:
    """What keeps a name that was rebound to this address from being used against it."""
    with house.client() as client:
        answer = client.get("/own", headers={"Host": host})
    assert answer.status_code in (421, 400)
    if host:
        assert host not in answer.text.replace('"', "")


# --- other sites --------------------------------------------------------------------------


def test_other_sites_are_given_nothing(house: House) -> None:
    with house.client() as client:
        for origin in ("https://evil.example", "null", ORIGIN + ".evil", ORIGIN.upper(), "http://viewer.example.org"):
            answer = client.get("/healthz", headers={"Origin": origin})
            assert not [name for name in answer.headers if name.startswith("access-control")]
            asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            assert client.options("/own", headers=asked).status_code in (401, 405)


def test_a_site_that_the_operator_listed_may_ask_with_a_token(house: House) -> None:
    with house.client() as client:
        answer = client.get("/own", headers={"Origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers.get_list("vary") == ["Accept", "Origin"]
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "access-control-allow-credentials" not in answer.headers, "cookies are not for other sites"
    with house.client(None) as client:
        asked = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        }
        answer = client.options("/own", headers=asked)
        assert answer.status_code == 204
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert client.get("/own", headers={"Origin": ORIGIN}).status_code == 401


def test_without_a_list_there_is_no_cors_at_all(tmp_path: Path) -> None:
    with webhouse.opened(tmp_path, ROUTES) as house, house.client() as client:
        answer = client.get("/own", headers={"Origin": ORIGIN})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["vary"] == "Accept"


# --- proxies ------------------------------------------------------------------------------


def test_nobody_says_for_himself_where_he_is(house: House) -> None:
    with house.client(None) as client:
        answer = client.get("/peer", headers={"X-Forwarded-For": "10.9.9.9", "Forwarded": "for=10.9.9.9"})
    assert answer.text == "127.0.0.1"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    """A door behind a proxy, which is this test."""
    settings = WebSettings(trusted_proxies=(ip_network("127.0.0.1/32"),), allowed_networks=(ip_network("9.9.9.0/24"),))
    with webhouse.opened(tmp_path_factory.mktemp("behind"), ROUTES, settings=settings) as running:
        yield running


def _through(house: House, *fields: tuple[str, str]) -> httpx.Response:
    with house.client(None) as client:
        return client.get("/peer", headers=list(fields))


def test_behind_a_proxy_the_caller_is_whom_the_proxy_names(behind: House) -> None:
    assert _through(behind, ("X-Forwarded-For", "192.168.7.7")).text == "192.168.7.7"
    assert _through(behind, ("X-Forwarded-For", "127.0.0.1, 192.168.7.7")).text == "192.168.7.7"
    assert _through(behind, ("Forwarded", "for=192.168.7.7")).text == "192.168.7.7"
    assert _through(behind, ("X-Forwarded-For", "9.9.9.9")).text == "9.9.9.9", "a network that is listed"


def test_behind_a_proxy_the_internet_is_refused_and_an_alert(behind: House) -> None:
    answer = _through(behind, ("X-Forwarded-For", "8.8.8.8"))
    assert (answer.status_code, answer.content) == (403, b"")
    record = next(each for each in behind.log.records if each.peer == "8.8.8.8")
    assert record.detail["alert"] == 1


def test_a_proxy_that_does_not_say_for_whom_is_refused(behind: House) -> None:
    assert _through(behind).status_code == 400
    assert _through(behind, ("X-Forwarded-For", "unknown")).status_code == 400
    assert _through(behind, ("X-Forwarded-For", "192.168.7.7"), ("Forwarded", "for=1.2.3.4")).status_code == 400
    with behind.client(None) as client:
        assert client.get("/healthz").text == "ok", "it may look whether we are there"
