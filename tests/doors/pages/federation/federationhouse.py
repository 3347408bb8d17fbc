"""A running archive with single sign-on and passkeys set up, as people reach it."""

import ssl
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.oidc import CLIENT, SECRET, Op, running_op
from tests.peers.running import free_port, run
from tests.peers.web import Web, serving

PASSWORD = "seven quiet herons cross the estuary"

_SETTINGS = """
[web]
address = "{address}"
[oidc]
issuer = "{issuer}"
client_id = "{client}"
client_secret_file = "{secret}"
authority = "{authority}"
label = "Sign in with Example Hospital"
scopes = ["profile", "groups"]
groups = ["radiology-readers -> radiologist"]
"""


@dataclass(frozen=True, slots=True)
class Site:
    """An archive and its provider."""

    web: Web
    op: Op
    address: str
    certificate: Path
    folder: Path

    def add_person(self, name: str, role: str = "radiologist") -> None:
        """Make an account with ``PASSWORD``."""
        leadglass = self.web.leadglass
        done = run(
            [sys.executable, "-m", "leadglass", "user", "add", name, "--role", role, "--password-stdin",
             "--data", leadglass.data],
            stdin=PASSWORD,
        )  # fmt: skip
        assert done.code == 0, done.said


@contextmanager
def site_in(folder: Path) -> Generator[Site]:
    """Run both inside the block."""
    port = free_port()
    address = f"https://localhost:{port}"
    with running_op(folder, redirect=f"{address}/sign-in/oidc/callback") as op:
        secret = folder / "client.secret"
        secret.touch(0o600)
        secret.write_text(SECRET + "\n")
        settings = _SETTINGS.format(
            address=address, issuer=op.issuer, client=CLIENT, secret=secret, authority=op.authority
        )
        with serving(folder, "--http", f"127.0.0.1:{port}", settings=settings) as web:
            certificate = folder / "shown.pem"
            certificate.write_text(ssl.get_server_certificate(("127.0.0.1", port)))
            yield Site(web, op, address, certificate, folder)
