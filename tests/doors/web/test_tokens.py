"""Tokens against a running server: its own at once, and those of another authorization server."""

from collections.abc import Iterator

import httpx
import pytest

from tests.peers.oidc import ARCHIVE, AUDIENCE, SECRET, Op, running_op
from tests.peers.web import Web, serving

STUDIES = "/dicom-web/studies"

_SETTINGS = """
[introspection]
endpoint = "{endpoint}"
client_id = "{client}"
client_secret_file = "{secret}"
audience = "{audience}"
authority = "{authority}"
scopes = ["system/ImagingStudy.read -> service", "patient/ImagingStudy.read -> referrer patient={{patient}}"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Web, Op]]:
    folder = tmp_path_factory.mktemp("site")
    with running_op(folder) as op:
        secret = folder / "secret"
        secret.touch(0o600)
        secret.write_text(SECRET)
        settings = _SETTINGS.format(
            endpoint=f"{op.issuer}/token/introspection",
            client=ARCHIVE,
            secret=secret,
            audience=AUDIENCE,
            authority=op.authority,
        )
        with serving(folder, settings=settings) as web:
            yield web, op


def ask(web: Web, token: str) -> httpx.Response:
    with web.client(token) as client:
        return client.get(STUDIES, headers={"Accept": "application/dicom+json"})


def test_a_token_counts_the_moment_it_is_made_and_no_longer_than_it_should(site: tuple[Web, Op]) -> None:
    web, _ = site
    with web.client(web.token(name="first")) as client:
        assert client.get(STUDIES).status_code in {200, 204}
        web.leadglass.do("token", "revoke", "first")
        refused = client.get(STUDIES)  # over the same connection
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        again = web.token(name="first")
        assert client.get(STUDIES, headers={"Authorization": f"Bearer {again}"}).status_code in {200, 204}


def test_whoever_is_refused_hears_one_answer(site: tuple[Web, Op]) -> None:
    web, _ = site
    good = web.token(name="second")
    web.leadglass.do("token", "revoke", "second")
    answers = {
        (answer.status_code, answer.text)
        for answer in (ask(web, good), ask(web, good[:-1]), ask(web, "lg_"), ask(web, "made up"))
    }
    assert len(answers) == 1
    reasons = " ".join(str(record["reason"]) for record in web.leadglass.audit() if record["outcome"] == "refused")
    for true_reason in ("was revoked", "is no token", "not active"):
        assert true_reason in reasons
    assert good not in reasons


def test_a_referrer_without_a_scope_finds_nothing(site: tuple[Web, Op]) -> None:
    web, _ = site
    assert ask(web, web.token("referrer")).status_code in {200, 204, 403}


def test_a_smart_client_comes_in_by_what_the_other_server_says(site: tuple[Web, Op]) -> None:
    web, op = site
    token = op.token("system/ImagingStudy.read")
    assert ask(web, token).status_code in {200, 204}
    assert ask(web, op.token("system/Patient.read")).status_code == 401
    assert ask(web, op.token("system/ImagingStudy.read", audience="https://other.example.test/")).status_code == 401
    used = [record for record in web.leadglass.audit() if record.get("caller") == "client:smart"]
    assert {record["action"] for record in used} >= {"signin", "find"}
    assert token not in str(used)
