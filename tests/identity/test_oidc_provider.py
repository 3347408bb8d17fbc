"""A provider that says of itself what it should not, hangs, or wants to be asked otherwise."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from leadglass.errors import Busy
from leadglass.identity.oidc_claims import NotProven
from leadglass.identity.oidc_provider import AGAIN, KEEP, REST, OidcSettings, Provider
from leadglass.identity.outbound import Outbound
from tests.peers.liar import Liar, lying

Json = dict[str, object]


@pytest.fixture(scope="module")
def liar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Liar]:
    with lying(tmp_path_factory.mktemp("liar")) as running:
        yield running


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def provider(liar: Liar, clock: Seconds) -> Iterator[Provider]:
    settings = OidcSettings(liar.url, "leadglass", "https://pacs.example.test/back", "a:b/c")
    liar.requests.clear()
    with Outbound(liar.authority, patience=60.0) as outbound:
        yield Provider(settings, outbound, clock=clock)


def metadata(liar: Liar, **changed: object) -> Json:
    said: Json = {
        "issuer": liar.url,
        "authorization_endpoint": liar.url + "/auth?tenant=1",
        "token_endpoint": liar.url + "/token",
        "jwks_uri": liar.url + "/keys",
        "userinfo_endpoint": liar.url + "/userinfo",
    }
    return {name: value for name, value in (said | changed).items() if value is not None}


def answering(liar: Liar, **by_path: tuple[str, Json]) -> Callable[[bytes, Callable[[bytes], None]], None]:
    """Give what answers each path with a status and an object."""
    known = {"/.well-known/openid-configuration": ("200 OK", metadata(liar))}
    known |= {f"/{name}": value for name, value in by_path.items()}

    def answer(request: bytes, send: Callable[[bytes], None]) -> None:
        status, said = known[request.split()[1].decode()]
        body = json.dumps(said).encode()
        send(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)

    return answer


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": None},
        {"issuer": "https://evil.example.test"},
        {"issuer": ["https://localhost"]},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "http://localhost/auth"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "http://169.254.169.254/token"},
        {"token_endpoint": "https://user:secret@localhost/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": 7},
        {"userinfo_endpoint": "http://localhost/userinfo"},
        {"code_challenge_methods_supported": ["plain"]},
    ],
    ids=str,
)
def test_what_a_provider_may_not_say_of_itself(liar: Liar, provider: Provider, changed: Json) -> None:
    liar.says(json.dumps(metadata(liar, **changed)).encode())
    with pytest.raises(Busy):
        provider.metadata()


def test_algorithms_that_do_not_count_are_not_among_those_of_a_provider(liar: Liar, provider: Provider) -> None:
    offered = ["none", "HS256", "ES256", "RS256", "EdDSA"]
    liar.says(json.dumps(metadata(liar, id_token_signing_alg_values_supported=offered)).encode())
    assert provider.metadata().algorithms == ("ES256", "RS256")


def test_the_way_there_keeps_what_the_provider_has_in_its_address(liar: Liar, provider: Provider) -> None:
    liar.says(json.dumps(metadata(liar)).encode())
    url = provider.authorization_url(state="s", nonce="n", challenge="c")
    assert url.startswith(f"{liar.url}/auth?tenant=1&response_type=code&")
    assert "scope=openid+profile" in url
    assert "code_challenge=c&code_challenge_method=S256" in url


def test_what_it_says_is_kept_and_asked_for_again_after_a_while(liar: Liar, provider: Provider, clock: Seconds) -> None:
    liar.says(json.dumps(metadata(liar)).encode())
    for _ in range(3):
        provider.metadata()
    assert len(liar.requests) == 1
    clock.now += KEEP
    provider.metadata()
    assert len(liar.requests) == 2


def test_a_provider_that_failed_is_left_alone_for_a_while(liar: Liar, provider: Provider, clock: Seconds) -> None:
    liar.says(b"{}", status="500 Oops")
    for _ in range(3):
        with pytest.raises(Busy):
            provider.metadata()
    assert len(liar.requests) == 1
    clock.now += REST
    liar.says(json.dumps(metadata(liar)).encode())
    assert provider.metadata()


def test_a_provider_that_hangs_is_asked_by_one_thread_not_all(liar: Liar) -> None:
    liar.answer = lambda _request, _send: time.sleep(4)
    liar.requests.clear()

    with Outbound(liar.authority, patience=3.0) as outbound, ThreadPoolExecutor(12) as pool:
        provider = Provider(OidcSettings(liar.url, "leadglass", "https://pacs.example.test/back"), outbound)

        def ask(_number: int) -> bool:
            with pytest.raises(Busy):
                provider.metadata()
            return True

        assert all(pool.map(ask, range(12)))
    assert len(liar.requests) <= 1


def test_keys_are_fetched_anew_at_most_once_in_a_while(liar: Liar, provider: Provider, clock: Seconds) -> None:
    liar.answer = answering(liar, keys=("200 OK", {"keys": [{"kty": "RSA"}, "rubbish", None]}))
    assert provider.keys() == ({"kty": "RSA"},)
    for _ in range(5):
        provider.keys(anew=True)
    fetched = [request for request in liar.requests if b"/keys" in request]
    assert len(fetched) == 1
    clock.now += AGAIN
    provider.keys(anew=True)
    assert len([request for request in liar.requests if b"/keys" in request]) == 2


@pytest.mark.parametrize("said", [{}, {"keys": {}}, {"keys": "x"}], ids=str)
def test_keys_that_are_none(liar: Liar, provider: Provider, said: Json) -> None:
    liar.answer = answering(liar, keys=("200 OK", said))
    with pytest.raises(Busy):
        provider.keys()


def test_the_secret_is_shown_as_the_provider_takes_it(liar: Liar, provider: Provider) -> None:
    given: tuple[str, Json] = ("200 OK", {"id_token": "t", "access_token": "a"})
    liar.answer = answering(liar, token=given)
    assert provider.exchange("c&d", "v").id_token == "t"
    request = liar.requests[-1]
    assert b"Authorization: Basic bGVhZGdsYXNzOmElM0FiJTJGYw==" in request  # leadglass:a%3Ab%2Fc, RFC 6749 2.3.1
    assert b"code=c%26d" in request
    assert b"client_secret" not in request


def test_the_secret_is_posted_where_the_provider_wants_that(liar: Liar, provider: Provider) -> None:
    wants: Json = metadata(liar, token_endpoint_auth_methods_supported=["client_secret_post"])
    by_path = answering(liar, token=("200 OK", {"id_token": "t"}))

    def answer(request: bytes, send: Callable[[bytes], None]) -> None:
        if b"openid-configuration" in request:
            body = json.dumps(wants).encode()
            send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        else:
            by_path(request, send)

    liar.answer = answer
    assert provider.exchange("c", "v").access_token == ""
    assert b"client_id=leadglass&client_secret=a%3Ab%2Fc" in liar.requests[-1]
    assert b"Authorization" not in liar.requests[-1]


def test_a_public_client_shows_its_name_alone(liar: Liar) -> None:
    settings = OidcSettings(liar.url, "leadglass", "https://pacs.example.test/back")
    liar.answer = answering(liar, token=("200 OK", {"id_token": "t"}))
    with Outbound(liar.authority) as outbound:
        assert Provider(settings, outbound).exchange("c", "v")
    assert b"client_id=leadglass" in liar.requests[-1]
    assert b"client_secret" not in liar.requests[-1]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("400 Bad Request", {"error": "invalid_grant\r\nSet-Cookie: x"}),
        ("400 Bad Request", {"error": ["x"]}),
        ("200 OK", {}),
        ("200 OK", {"id_token": 7}),
        ("302 Found", {"id_token": "t"}),
    ],
    ids=str,
)
def test_a_code_that_is_not_taken_proves_nothing(liar: Liar, provider: Provider, status: str, said: Json) -> None:
    liar.answer = answering(liar, token=(status, said))
    with pytest.raises(NotProven) as error:
        provider.exchange("c", "v")
    assert "\n" not in error.value.message


def test_more_claims_count_only_of_whom_the_token_names(liar: Liar, provider: Provider) -> None:
    liar.answer = answering(liar, userinfo=("200 OK", {"sub": "alice", "groups": ["x"]}))
    assert provider.userinfo("token", "alice")["groups"] == ["x"]
    assert b"Authorization: Bearer token" in liar.requests[-1]
    with pytest.raises(NotProven, match="somebody else"):
        provider.userinfo("token", "bob")
    assert provider.userinfo("", "alice") == {}
    liar.answer = answering(liar, userinfo=("401 Unauthorized", {"sub": "alice"}))
    with pytest.raises(Busy):
        provider.userinfo("token", "alice")


def test_the_secret_is_not_shown_with_the_settings(provider: Provider) -> None:
    settings = OidcSettings("https://op", "leadglass", "https://pacs", "verysecret")
    assert "verysecret" not in repr(replace(settings, name_claim="x"))
