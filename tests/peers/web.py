"""The web door of a running archive as a program sees it: HTTPS with our authority, a token or none."""

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from leadglass.folder import Folder
from tests.peers.leadglass import Doors, Leadglass

PATIENCE = 60.0
"""Seconds for one answer: machines of CI are slow, and nothing is asserted about time."""

ROLES = ("admin", "radiologist", "technologist", "referrer", "researcher", "auditor", "service")


@dataclass(frozen=True, slots=True)
class Web:
    """A running archive with its web door open.

    Parameters
    ----------
    leadglass : Leadglass
        Its folder and its commands.
    doors : Doors
        Where it listens.
    """

    leadglass: Leadglass
    doors: Doors

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        assert self.doors.web is not None
        return self.doors.web

    @property
    def url(self) -> str:
        """What paths are put behind."""
        return f"https://{self.address[0]}:{self.address[1]}"

    @property
    def authority(self) -> Path:
        """The archive's certificate authority."""
        return self.leadglass.data / "ca.pem"

    @property
    def certificate(self) -> Path:
        """The archive's own certificate."""
        return Folder(self.leadglass.data).server_certificate

    def token(self, role: str = "service", *, name: str = "", scope: tuple[str, ...] = (), ttl: str = "1h") -> str:
        """Make a token; its name is the role's unless given."""
        scopes = [part for each in scope for part in ("--scope", each)]
        made = self.leadglass.do("token", "create", name or role, "--role", role, "--ttl", ttl, *scopes)
        return made.strip()

    def client(self, token: str | None = None) -> httpx.Client:
        """Give a client that trusts our authority only, with a bearer token or none."""
        fields = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(
            base_url=self.url, headers=fields, verify=_trusting(self.authority), timeout=PATIENCE, trust_env=False
        )


def _trusting(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


@contextmanager
def serving(folder: Path, *arguments: str, settings: str = "") -> Generator[Web]:
    """Run an archive in ``folder`` with its web door on a free loopback port inside the block.

    Parameters
    ----------
    folder : Path
        Where the data folder and the log go; what is there already is kept.
    *arguments : str
        More of ``leadglass serve``.
    settings : str
        The text of its ``leadglass.toml``.
    """
    folder.mkdir(exist_ok=True)
    leadglass = Leadglass(folder)
    if not leadglass.data.exists():
        leadglass.do("init")
    if settings:
        (leadglass.data / "leadglass.toml").write_text(settings, encoding="utf-8")
    with leadglass.serve("--http", "127.0.0.1:0", *arguments) as doors:
        yield Web(leadglass, doors)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Generator[Web]:
    """Give an archive that is shared by the tests of a module; import this fixture where it is wanted."""
    with serving(tmp_path_factory.mktemp("web")) as running:
        yield running
