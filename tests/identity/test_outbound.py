import gzip
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leadglass.errors import Busy, Misconfigured
from leadglass.identity.outbound import LONGEST, Outbound, Unusable, require_https
from tests.peers.liar import Liar, lying


@pytest.fixture(scope="module")
def liar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Liar]:
    with lying(tmp_path_factory.mktemp("liar")) as running:
        yield running


@pytest.fixture
def outbound(liar: Liar) -> Iterator[Outbound]:
    with Outbound(liar.authority, patience=60.0) as made:
        yield made


@pytest.fixture
def impatient(liar: Liar) -> Iterator[Outbound]:
    with Outbound(liar.authority, patience=1.0) as made:
        yield made


def test_an_answer_is_a_status_and_an_object(liar: Liar, outbound: Outbound) -> None:
    liar.says(b'{"a": [1]}', status="404 Not Found")
    assert outbound.get(liar.url + "/x") == (404, {"a": [1]})


def test_secrets_go_where_they_belong(liar: Liar, outbound: Outbound) -> None:
    liar.says(b"{}")
    outbound.post(liar.url + "/x", {"token": "a b&c"}, basic=("me", "s"))
    assert b"Authorization: Basic bWU6cw==" in liar.requests[-1]
    assert b"token=a+b%26c" in liar.requests[-1]
    assert b"Accept-Encoding: identity" in liar.requests[-1]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b"<html>", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"x" * (LONGEST + 1)],
    ids=lambda body: repr(body[:6]),
)  # fmt: skip
def test_what_is_no_small_json_object_cannot_be_used(liar: Liar, outbound: Outbound, body: bytes) -> None:
    liar.says(body)
    with pytest.raises(Unusable):
        outbound.get(liar.url)


def test_a_redirect_is_not_followed(liar: Liar, outbound: Outbound) -> None:
    before = len(liar.requests)
    liar.says(b"{}", status="302 Found", fields=f"Location: {liar.url}/elsewhere\r\n")
    assert outbound.get(liar.url) == (302, {})
    assert len(liar.requests) == before + 1


def test_what_was_not_asked_for_compressed_is_not_inflated(liar: Liar, outbound: Outbound) -> None:
    liar.says(gzip.compress(b" " * 10_000_000), fields="Content-Encoding: gzip\r\n")
    with pytest.raises(Unusable, match="encoding"):
        outbound.get(liar.url)


def test_who_sends_a_byte_now_and_then_is_not_waited_for(liar: Liar, impatient: Outbound) -> None:
    def drip(_request: bytes, send: Callable[[bytes], None]) -> None:
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            send(b" ")
            time.sleep(0.1)

    liar.answer = drip
    with pytest.raises(Busy, match="longer"):
        impatient.get(liar.url)


def test_who_says_nothing_is_not_waited_for(liar: Liar, impatient: Outbound) -> None:
    liar.answer = lambda _request, _send: time.sleep(3)
    with pytest.raises(Busy, match="longer"):
        impatient.get(liar.url)


def test_who_hangs_up_is_busy(liar: Liar, outbound: Outbound) -> None:
    liar.answer = lambda _request, _send: None
    with pytest.raises(Busy, match="cannot be reached"):
        outbound.get(liar.url)


def test_a_strange_certificate_or_name_ends_it(liar: Liar, outbound: Outbound) -> None:
    before = len(liar.requests)
    with Outbound() as unaware, pytest.raises(Busy, match="not trusted"):
        unaware.get(liar.url)
    with pytest.raises(Busy, match="not trusted"):
        outbound.get(f"https://127.0.0.1:{liar.port}")
    assert len(liar.requests) == before


def test_the_environment_does_not_send_questions_elsewhere(
    liar: Liar, outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "HTTPS_PROXY", "http://127.0.0.1:1")
    liar.says(b"{}")
    with Outbound(liar.authority) as made:
        assert made.get(liar.url) == (200, {})


@pytest.mark.parametrize(
    "url",
    ["http://localhost/", "https:///x", "https://u:p@h/", "https://h/#f", "https://h:x/", "https://h\n/", "https://h /",
     "https://é/", "file:///etc/passwd", ""],
)  # fmt: skip
def test_only_plain_https_addresses_are_asked(outbound: Outbound, url: str) -> None:
    with pytest.raises(Misconfigured):
        require_https(url)
    with pytest.raises(Misconfigured):
        outbound.get(url)


def test_an_authority_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    for path in (tmp_path / "x.pem", tmp_path / "missing.pem"):
        with pytest.raises(Misconfigured, match="PEM"):
            Outbound(path)
