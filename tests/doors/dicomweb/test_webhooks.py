"""Webhooks: who is called, with what, how patiently; a real receiver over HTTP and HTTPS."""

import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from leadglass.crypto.ca import Authority
from leadglass.doors.dicomweb.webhooks import receivers_of, sign
from leadglass.errors import Misconfigured
from tests.doors.dicomweb.stowhouse import part10
from tests.peers.leadglass import Leadglass
from tests.peers.running import wait_until
from tests.peers.web import Web, serving
from tests.vault.sets import data_set

SECRET = "0123456789abcdef" * 4


@dataclass(slots=True)
class Post:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass(slots=True)
class Hook:
    """A receiver that answers as it is told to."""

    url: str = ""
    posts: list[Post] = field(default_factory=list[Post])
    answers: list[int] = field(default_factory=list[int])

    def heard(self) -> list[tuple[int, str, str]]:
        """Give number, kind and study of everything that was taken; what was told twice, once."""
        told = (each for post in self.posts for each in post.told["changes"])
        return list(dict.fromkeys((each["sequence"], each["kind"], each["study"]) for each in told))


@contextmanager
def receiver(certificate: Path | None = None) -> Generator[Hook]:
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = hook.answers.pop(0) if hook.answers else 204
            if status < 300:
                hook.posts.append(Post(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(status)
            if status in (301, 307):
                self.send_header("Location", f"{hook.url}/elsewhere")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    hook.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def settings(folder: Path, hook: Hook, **more: str) -> str:
    secret = folder / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    kind = "receivers" if hook.url.startswith("https") else "unsafe_loopback_receivers"
    given = {kind: f'["{hook.url}"]', "secret_file": f'"{secret}"', "retry": "0.05", "retry_longest": "0.2"} | more
    return "[webhooks]\n" + "".join(f"{name} = {value}\n" for name, value in given.items())


def bring(web: Web, folder: Path, study: str) -> None:
    path = folder / f"{study}.dcm"
    path.write_bytes(part10(data_set(StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1")))
    web.leadglass.do("import", path)


def test_a_receiver_hears_everything_and_can_prove_who_said_it(tmp_path: Path) -> None:
    with receiver() as hook:
        with serving(tmp_path / "house", settings=settings(tmp_path, hook)) as web:
            wait_until(lambda: "webhook" in str(web.leadglass.audit("--json")), "the receiver to be known")
            bring(web, tmp_path, "1.7")
            wait_until(lambda: len(hook.heard()) == 2, "the first study")
        # An end between an answer and its being noted makes the receiver hear that again, as it is told it may.
        bring(web, tmp_path, "1.8")  # while nobody serves
        hook.answers += [500, 307, 404]
        with serving(tmp_path / "house") as web:
            wait_until(lambda: len(hook.heard()) == 4, "the second study")
    assert hook.heard() == [
        (1, "study-new", "1.7"), (2, "instance-stored", "1.7"), (3, "study-new", "1.8"), (4, "instance-stored", "1.8"),
    ]  # fmt: skip
    assert hook.answers == []
    for post in hook.posts:
        assert post.path == "/hook"  # nobody was led elsewhere
        assert set(post.told) == {"archive", "changes", "next"}
        for each in post.told["changes"]:
            assert set(each) <= {"sequence", "cursor", "kind", "study", "instance", "moment"}
        # What docs/dicomweb.md tells receivers to do:
        signed = post.headers["leadglass-timestamp"].encode() + b"." + post.body
        expected = "v1=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        assert hmac.compare_digest(expected, post.headers["leadglass-signature"])
        assert b"Doe" not in post.body
        assert b"4711" not in post.body


def test_one_that_fails_for_long_is_an_alert_and_holds_nobody_up(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca.pem", tmp_path / "ca.key")
    certificate = authority.ensure_server_certificate(tmp_path / "hook.pem", ["127.0.0.1"])
    with receiver(certificate) as hook:  # by https, with an authority of its own
        hook.answers += [503] * 100_000
        text = settings(tmp_path, hook, alert_after="0", authority=f'"{tmp_path / "ca.pem"}"')
        with serving(tmp_path / "house", settings=text) as web:
            wait_until(lambda: "webhook" in str(web.leadglass.audit("--json")), "the receiver to be known")
            bring(web, tmp_path, "1.7")
            wait_until(lambda: "cannot be told" in str(web.leadglass.audit("--json")), "the alert")
            with web.client(web.token()) as client:
                assert len(client.get("/dicom-web/studies").json()) == 1
            hook.answers.clear()
            wait_until(lambda: len(hook.heard()) == 2, "the study, late")


@pytest.mark.parametrize(
    ("safe", "unsafe"),
    [
        (["http://example.org/"], []),
        (["ftp://example.org/"], []),
        (["https:///x"], []),
        (["https://user:pass@example.org/"], []),
        (["https://example.org/#part"], []),
        (["https://example.org:99999/"], []),
        (["nonsense"], []),
        (["https://a.example/x", "https://a.example/x"], []),
        ([], ["http://192.0.2.1/"]),
        ([], ["http://example.org/"]),
        ([], ["https://127.0.0.1/"]),
    ],
)
def test_what_may_not_be_called_is_refused_at_the_start(safe: list[str], unsafe: list[str]) -> None:
    with pytest.raises(Misconfigured, match="webhooks"):
        receivers_of(safe, unsafe)


def test_a_receiver_is_named_without_its_path() -> None:
    (one, other) = receivers_of(["https://a.example/secret?key=1"], ["http://localhost:8080/x"])
    assert (one.name, other.name) == ("a.example", "localhost:8080")


def test_a_signature_is_of_time_and_body() -> None:
    secret = SECRET.encode()
    assert sign(secret, "1", b"x") == sign(secret, "1", b"x")
    others = {sign(secret, "2", b"x"), sign(secret, "1", b"y"), sign(b"z" * 32, "1", b"x")}
    assert len(others - {sign(secret, "1", b"x")}) == 3


def test_without_a_secret_it_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("short")
    (tmp_path / "secret").chmod(0o600)
    text = f'[webhooks]\nreceivers = ["https://a.example/"]\nsecret_file = "{tmp_path / "secret"}"\n'
    leadglass = Leadglass(tmp_path / "house")
    leadglass.do("init")
    (leadglass.data / "leadglass.toml").write_text(text)
    done = leadglass.cli("serve", "--http", "127.0.0.1:0")
    assert done.code == 1
    assert "secret_file" in done.said
