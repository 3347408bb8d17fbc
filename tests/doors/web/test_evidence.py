"""What a request may show of who asks: a bearer token; HTTP Basic only where the operator named it."""

import base64
from collections.abc import Generator

import httpx
import pytest

from tests.peers.web import Web, serving

SETTINGS = "[web]\nunsafe_basic_auth_accounts = ['old-router', 'reader']\n"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Generator[Web]:
    with serving(tmp_path_factory.mktemp("basic"), settings=SETTINGS) as running:
        yield running


def _basic(web: Web, user: str, password: str) -> int:
    """Ask as curl -u does; 404 is what somebody known hears of a path that is not there."""
    with web.client() as client:
        return client.get("/nothing", auth=httpx.BasicAuth(user, password)).status_code


def test_basic_is_for_service_tokens_that_the_operator_named(web: Web) -> None:
    old, reader, other = (
        web.token("service", name="old-router"),
        web.token("radiologist", name="reader"),
        web.token("service", name="other"),
    )
    assert _basic(web, "old-router", old) == 404
    assert _basic(web, "old-router", other) == 401, "another's token under that name"
    assert _basic(web, "reader", reader) == 401, "not of the role service"
    assert _basic(web, "other", other) == 401, "not named"
    assert _basic(web, "", old) == 401
    assert _basic(web, old, "") == 401
    assert _basic(web, "old-router", "") == 401
    web.leadglass.do("token", "revoke", "old-router")
    assert _basic(web, "old-router", old) == 401, "revoked"


@pytest.mark.parametrize("shown", ["?", "=", "b2xk", base64.b64encode(b"\xff\xfe:x").decode(), "A" * 100_00])
def test_basic_credentials_that_are_none_prove_nobody(shown: str, web: Web) -> None:
    with web.client() as client:
        answer = client.get("/nothing", headers={"Authorization": f"Basic {shown}"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="leadglass"', "no browser asks for a password"


def test_that_basic_is_allowed_is_shown_and_on_record(web: Web) -> None:
    assert "unsafe_basic_auth_accounts is on" in web.leadglass.log.read_text()
    reasons = [str(each["reason"]) for each in web.leadglass.audit() if each["outcome"] == "alert"]
    assert any("unsafe_basic_auth_accounts" in reason for reason in reasons)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "BeArEr"])
def test_the_word_bearer_may_be_written_as_one_likes(scheme: str, web: Web) -> None:
    token = web.token("service", name=scheme)
    with web.client() as client:
        assert client.get("/nothing", headers={"Authorization": f"{scheme} {token}"}).status_code == 404
        assert client.get("/nothing", headers={"Authorization": f"{scheme}{token}"}).status_code == 401
