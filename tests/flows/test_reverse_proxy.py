"""Behind nginx, by the very lines of docs/operations.md: who asks is who asked the proxy, and streams pass through."""

import re
import ssl
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from leadglass.crypto.ca import Authority
from tests.corpus import ROOT
from tests.peers.running import find_program, free_port, is_listening, running, wait_until
from tests.peers.web import Web, serving

NAME = "archive.example.org"

_SETTINGS = f"""
[web]
names = ["{NAME}"]
trusted_proxies = ["127.0.0.1/32"]
"""

_AROUND = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/proxy.pem;
        ssl_certificate_key {folder}/proxy.key;
        {location}
    }}
}}
"""


def _printed() -> str:
    """Give the lines as an operator copies them."""
    found = re.search(r"(?ms)^```nginx\n(.*?)^```", (ROOT / "docs" / "operations.md").read_text())
    assert found
    return found[1]


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Web, int, ssl.SSLContext]]:
    nginx = find_program("nginx")
    if nginx is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    folder = tmp_path_factory.mktemp("nginx")
    Authority.create(folder / "ca.pem", folder / "ca.key")
    issued = Authority.load(folder / "ca.pem", folder / "ca.key").issue_device("PROXY", names=[NAME], days=2)
    (folder / "proxy.key").write_bytes(issued.key_pem)
    (folder / "proxy.pem").write_bytes(issued.certificate_pem)
    with serving(tmp_path_factory.mktemp("behind") / "house", settings=_SETTINGS) as web:
        assert web.doors.web is not None
        location = _printed().replace("10.1.2.4:8443", f"127.0.0.1:{web.doors.web[1]}")
        location = location.replace("/etc/nginx/leadglass-ca.pem", str(web.leadglass.data / "ca.pem"))
        port = free_port()
        user = "user root;" if Path("/proc/self").stat().st_uid == 0 else ""
        text = _AROUND.format(folder=folder, port=port, location=location, user=user)
        (folder / "nginx.conf").write_text(text)
        with running([nginx, "-c", folder / "nginx.conf"], log=folder / "nginx.log"):
            wait_until(lambda: is_listening(port), "nginx listens")
            yield web, port, ssl.create_default_context(cafile=str(folder / "ca.pem"))


def test_the_lines_of_the_manual_pass_on_who_asks_and_what_is_sent(
    proxied: tuple[Web, int, ssl.SSLContext],
) -> None:
    web, port, trusting = proxied
    token = web.leadglass.do("token", "create", "script", "--role", "service").strip()
    asking = {"Host": NAME, "Authorization": f"Bearer {token}", "X-Forwarded-For": "10.9.9.9"}
    with httpx.Client(verify=trusting, trust_env=False, timeout=60, headers=asking) as client:
        url, named = f"https://127.0.0.1:{port}", {"sni_hostname": NAME}

        def ask(method: str, path: str, **more: object) -> httpx.Response:
            request = client.build_request(method, url + path, extensions=named, **more)  # pyright: ignore[reportArgumentType]
            return client.send(request)

        assert ask("GET", "/dicom-web/studies").json() == []
        stored = ask(
            "POST",
            "/dicom-web/studies",
            content=(b"no DICOM" for _ in range(3)),
            headers={"Content-Type": "application/dicom"},
        )
        assert stored.status_code == 409, "a body of unknown length arrives, and is answered as ever"
        assert ask("GET", "/dicom-web/studies", headers={"Authorization": ""}).status_code == 401
    asked = [each for each in web.leadglass.audit("--action", "find") if each["caller"] == "token:script"]
    assert {each["peer"] for each in asked} == {"127.0.0.1"}, "the proxy's word counts, not what the caller wrote"
