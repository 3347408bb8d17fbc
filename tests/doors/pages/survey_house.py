"""An archive beside which surveys were made: three runs, findings of every standing, owners, hostile names."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from leadglass.survey import scope as scopes
from leadglass.survey.entries import Asset
from leadglass.survey.findings import Exposure, Finding
from tests.peers.leadglass import Leadglass
from tests.peers.web import Web, serving
from tests.survey.followed import STRANGERS, Followed, followed, found

HOSTILE: Final = "<script>alert(1)</script> \"'&"
SCOPE: Final = """
[survey]
owner = "Clinic {hostile}"
contact = "tel. 4711"
authorised_by = "the head of IT"
valid_from = {first}
valid_until = {last}
[scope]
networks = ["192.0.2.0/24"]
hosts = ["pacs.example.org"]
"""


def _many() -> list[Finding]:
    return [
        found("192.0.2.10", proof={"status": 0, "answer": HOSTILE}),
        replace(
            found("192.0.2.10", check=STRANGERS, exposure=Exposure.E2), title="It makes an association with anybody."
        ),
        found("192.0.2.11", 11112),
        found("192.0.2.12", 445, "smb-guest", Exposure.E4),
        found("192.0.2.13", 8042, "orthanc-rest", Exposure.E5),
        found("2001:db8::7", 104),
        *(found(f"192.0.2.{number}", 4242, STRANGERS, Exposure.E2) for number in range(100, 160)),
    ]


def survey_into(folder: Path, *, name: str = "clinic") -> Path:
    """Make a scope file and what three runs found beside it; gives the scope file."""
    today = scopes.today()
    file = folder / f"{name}.toml"
    said = SCOPE.format(
        hostile=HOSTILE.replace('"', '\\"'), first=today - timedelta(days=30), last=today + timedelta(days=30)
    )
    file.write_text(said, encoding="utf-8")
    kept = followed(folder)
    try:
        _follow(kept)
    finally:
        kept.state.close()
    return file


def _follow(kept: Followed) -> None:
    today = scopes.today()
    many = _many()
    kept.run([*many, found("192.0.2.20"), found("192.0.2.21")], day=today - timedelta(days=40), looked=())
    kept.register.assign(Asset(ip_network("192.0.2.0/28"), 0, "Radiology", "Radiology IT", "tel. 4711"))
    kept.register.assign(Asset(ip_network("192.0.2.100"), 0, HOSTILE, f"Owner {HOSTILE}", "tel. 4712"))
    kept.register.told("192.0.2.11", "me", "called", today - timedelta(days=40))
    kept.run(many, day=today - timedelta(days=31), looked=[("192.0.2.20", 104), ("192.0.2.21", 104)])
    kept.register.fixed("192.0.2.13", "them", "a firewall", today - timedelta(days=20))
    kept.register.accept("192.0.2.12", "me", f"replaced in spring {HOSTILE}", today + timedelta(days=60), today)
    gone = {("192.0.2.159", 4242), ("192.0.2.158", 4242)}
    left = [each for each in many if (str(each.address), each.port) not in gone]
    kept.run([*left, found("192.0.2.20"), found("192.0.2.30")], day=today, looked=sorted(gone))


@contextmanager
def surveyed(folder: Path) -> Generator[Web]:
    """Run an archive whose settings name such a survey."""
    leadglass = Leadglass(folder)
    leadglass.do("init")
    survey_into(leadglass.data)
    with serving(folder, settings='[survey]\nscope = "clinic.toml"\n') as web:
        yield web
