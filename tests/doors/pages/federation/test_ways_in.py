"""The other ways to sign in, as a program sees them: what they answer, and what they do not."""

import json
from collections.abc import Iterator
from http.cookies import SimpleCookie

import httpx
import pytest

from tests.doors.pages.federation.federationhouse import PASSWORD, Site, site_in
from tests.peers.authenticator import Authenticator, Json
from tests.peers.web import Web, serving

CALLBACK = "/sign-in/oidc/callback"
REFUSED = "did not vouch for you"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_in(tmp_path_factory.mktemp("site")) as running:
        running.add_person("bob")
        yield running


def client(site: Site, **fields: str) -> httpx.Client:
    """Give a client at the public address; it keeps cookies as a browser does."""
    made = site.web.client()
    made.base_url = site.address
    made.headers.update(fields)
    return made


def attributes(response: httpx.Response, name: str) -> dict[str, str]:
    """Give the attributes of a cookie that a response sets."""
    for line in response.headers.get_list("set-cookie"):
        morsel = SimpleCookie(line).get(name)
        if morsel is not None and morsel.value:
            return {key: str(value) for key, value in morsel.items() if value}
    return {}


@pytest.fixture
def bob(site: Site) -> Iterator[tuple[httpx.Client, str]]:
    """Give a client with a session, and what its requests carry beside the cookie."""
    with client(site) as made:
        answer = made.post("/sign-in", json={"name": "bob", "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        yield made, answer.json()["csrf"]


# --- single sign-on --------------------------------------------------------------


def test_the_way_to_the_provider_and_back_opens_a_session_for_this_browser(site: Site) -> None:
    with client(site) as browser:
        away = browser.get("/sign-in/oidc")
        assert away.status_code == 303
        assert away.headers["location"].startswith(f"{site.op.issuer}/auth?")
        kept = attributes(away, "__Host-leadglass-oidc")
        assert kept == {"path": "/", "secure": "True", "httponly": "True", "samesite": "lax", "max-age": "600"}
        query = site.op.sign_in(away.headers["location"], "sub-alice", redirect=site.address + CALLBACK)
        back = browser.get(CALLBACK, params=query)
        assert back.status_code == 200, back.text
        session = attributes(back, "__Host-leadglass")
        assert session == {"path": "/", "secure": "True", "httponly": "True", "samesite": "strict"}
        assert "__Host-leadglass-oidc" not in browser.cookies
        assert 'content="0;url=/"' in back.text  # not a redirect: the strict cookie would stay behind
        me = browser.get("/account", headers={"Accept": "application/json"})
        assert (me.json()["name"], me.json()["role"]) == ("alice.arzte@example.org", "radiologist")


def test_who_has_no_role_here_sees_a_page_and_gets_no_cookie(site: Site) -> None:
    with client(site, Accept="text/html") as browser:
        away = browser.get("/sign-in/oidc").headers["location"]
        back = browser.get(CALLBACK, params=site.op.sign_in(away, "sub-bob", redirect=site.address + CALLBACK))
        assert back.status_code == 403
        assert REFUSED in back.text
        assert attributes(back, "__Host-leadglass") == {}
        assert "everyone" not in back.text


def test_another_browser_cannot_end_what_this_one_began(site: Site) -> None:
    with client(site) as mine, client(site) as theirs, client(site) as fresh:
        away = mine.get("/sign-in/oidc").headers["location"]
        query = site.op.sign_in(away, "sub-alice", redirect=site.address + CALLBACK)
        theirs.get("/sign-in/oidc")
        for other in (theirs, fresh):
            answer = other.get(CALLBACK, params=query)
            assert answer.status_code == 403
            assert attributes(answer, "__Host-leadglass") == {}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "state=x&code=y",
        "state=x&state=x&code=y",
        "state=" + "x" * 5_000,
        "state=%00&code=%ff",
        "error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E",
    ],
    ids=lambda query: query[:24],
)
def test_whatever_comes_back_is_answered_and_never_shown(site: Site, query: str) -> None:
    with client(site, Accept="text/html") as browser:
        browser.get("/sign-in/oidc")
        answer = browser.get(f"{CALLBACK}?{query}")
        assert answer.status_code in {400, 403}
        assert "<script>alert" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_what_came_back_is_not_in_the_log(site: Site) -> None:
    with client(site) as browser:
        browser.get(f"{CALLBACK}?state=verysecretstate&code=verysecretcode")
    log = site.web.leadglass.log.read_text()
    assert "/sign-in/oidc/callback" in log
    assert "verysecret" not in log


# --- passkeys --------------------------------------------------------------------


def test_a_passkey_is_registered_by_who_knows_the_password_and_signs_in(
    site: Site, bob: tuple[httpx.Client, str]
) -> None:
    browser, csrf = bob
    fields = {"X-Leadglass-Csrf": csrf}
    key = Authenticator(site.address, "localhost", count=1)
    wrong = browser.post("/account/passkeys/begin", json={"password": "wrong"}, headers=fields)
    assert (wrong.status_code, wrong.json()["detail"]) == (403, "That is not your password.")
    options: Json = browser.post("/account/passkeys/begin", json={"password": PASSWORD}, headers=fields).json()
    made = browser.post(
        "/account/passkeys", json={"answer": key.register(options), "label": "<b>key</b>"}, headers=fields
    )
    assert made.status_code == 201, made.text
    page = browser.get("/account/passkeys", headers={"Accept": "text/html"})
    assert "&lt;b&gt;key&lt;/b&gt;" in page.text

    with client(site) as other:
        key.count = 2
        answer = other.post("/sign-in/passkey", json={"answer": key.sign_in(begin(other))})
        assert (answer.status_code, answer.json()["name"]) == (200, "bob")
        assert attributes(answer, "__Host-leadglass")["samesite"] == "strict"
        assert other.get("/account", headers={"Accept": "application/json"}).status_code == 200
        before = other.cookies["__Host-leadglass"]
        key.count = 3
        assert other.post("/sign-in/passkey", json={"answer": key.sign_in(begin(other))}).status_code == 200
        assert other.get("/account", headers={"Accept": "application/json"}).status_code == 200
    with client(site, Cookie=f"__Host-leadglass={before}") as stale:  # who signs in anew leaves no session behind
        assert stale.get("/account", headers={"Accept": "application/json"}).status_code == 401

    removed = browser.post(
        "/account/passkeys/remove", json={"passkey": made.json()["id"], "password": PASSWORD}, headers=fields
    )
    assert removed.status_code == 200, removed.text
    with client(site) as other:
        key.count = 4
        assert other.post("/sign-in/passkey", json={"answer": key.sign_in(begin(other))}).status_code == 403


def begin(browser: httpx.Client) -> Json:
    answer = browser.post("/sign-in/passkey/begin", json={})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_another_site_cannot_have_a_browser_register_or_sign_in(site: Site, bob: tuple[httpx.Client, str]) -> None:
    browser, csrf = bob
    foreign = {"Origin": "https://evil.example.test", "Sec-Fetch-Site": "cross-site"}
    body = {"password": PASSWORD}
    assert browser.post("/account/passkeys/begin", json=body).status_code == 403  # no token of the session
    assert (
        browser.post("/account/passkeys/begin", json=body, headers={"X-Leadglass-Csrf": csrf, **foreign}).status_code
        == 403
    )
    with client(site) as other:
        assert other.post("/sign-in/passkey/begin", json={}, headers=foreign).status_code == 403
        assert other.post("/sign-in/passkey", json={"answer": "{}"}, headers=foreign).status_code == 403


@pytest.mark.parametrize(
    "answer", ["", "{}", "[" * 3_000, '{"id":"AA","response":{}}', "x" * 20_000], ids=lambda a: a[:8]
)
def test_an_answer_that_is_none_signs_nobody_in(site: Site, answer: str) -> None:
    with client(site) as browser:
        said = browser.post("/sign-in/passkey", json={"answer": answer})
        assert said.status_code in {400, 403}
        assert "set-cookie" not in said.headers


def test_a_token_has_no_passkeys(site: Site) -> None:
    with site.web.client(site.web.token("radiologist")) as program:
        for path in ("/account/passkeys", "/account/passkeys/begin", "/account/passkeys/remove"):
            assert program.post(path, json={"password": PASSWORD, "answer": "{}", "passkey": "x"}).status_code == 403
        assert program.get("/account/passkeys").status_code == 403


def test_the_script_is_ours_and_kept_only_while_it_is_the_same(site: Site) -> None:
    with client(site) as browser:
        script = browser.get("/static/passkeys.js")
        assert script.headers["content-type"].startswith("text/javascript")
        again = browser.get("/static/passkeys.js", headers={"If-None-Match": script.headers["etag"]})
        assert again.status_code == 304
        assert "innerHTML" not in script.text


# --- where they are not set up ---------------------------------------------------


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with serving(tmp_path_factory.mktemp("plain")) as running:
        yield running


@pytest.mark.parametrize("path", ["/sign-in/oidc", CALLBACK, "/sign-in/passkey/begin", "/account/passkeys"])
def test_what_is_not_set_up_is_not_there(plain: Web, path: str) -> None:
    with plain.client() as stranger, plain.client(plain.token("service", name=path.replace("/", "-")[1:])) as program:
        assert stranger.get(path).status_code == 401
        assert program.get(path).status_code == 404


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('[oidc]\nissuer = "https://op.example.test"\nclient_id = "x"', "[web] address"),
        (
            '[web]\naddress = "https://pacs"\n[oidc]\nissuer = "https://op"\nclient_id = "x"\ngroups = ["a = b"]',
            "line 1",
        ),
        (
            '[web]\naddress = "https://pacs"\n[oidc]\nissuer = "https://op"\nclient_id = "x"\n'
            'client_secret_file = "/nonexistent/x"',
            "is missing",
        ),
    ],
)
def test_settings_that_cannot_work_keep_the_archive_from_starting(plain: Web, settings: str, said: str) -> None:
    folder = plain.leadglass.folder / "other"
    with pytest.raises(BaseException, match="did not come up") as error, serving(folder, settings=settings):
        pass
    assert said in str(error.value)


def test_an_address_without_a_name_has_single_sign_on_and_no_passkeys(plain: Web) -> None:
    folder = plain.leadglass.folder / "bare"
    settings = '[web]\naddress = "https://127.0.0.1"\n[oidc]\nissuer = "https://127.0.0.1:1"\nclient_id = "x"'
    with serving(folder, settings=settings) as bare, bare.client() as stranger:
        page = stranger.get("/sign-in", headers={"Accept": "text/html"}).text
        assert "/sign-in/oidc" in page
        assert "passkeys.js" not in page
        down = stranger.get("/sign-in/oidc", headers={"Accept": "text/html"})
        assert down.status_code == 503
        assert "cannot be reached" in down.text
    assert json.dumps(bare.leadglass.audit()).count("cannot be reached") >= 1
