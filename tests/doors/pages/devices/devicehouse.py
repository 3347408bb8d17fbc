"""A running archive and a program that enrols devices in it: quicker than a command for each."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

import httpx

from leadglass.doors.pages.devices.words import path_of
from tests.peers.leadglass import Record
from tests.peers.web import Web

TODAY = datetime.now(UTC).date()
LATER = (TODAY + timedelta(days=40)).isoformat()


@dataclass(frozen=True, slots=True)
class DeviceHouse:
    """The archive, and who enrols.

    Parameters
    ----------
    web : Web
        The archive.
    program : httpx.Client
        With the token of an administrator.
    """

    web: Web
    program: httpx.Client

    def add(self, ae_title: str, *, plaintext: bool = False, address: str = "127.0.0.1", **more: str) -> str:
        """Enrol a device, unless it is; gives the path of its page."""
        lane = {"speaks": "plaintext", "until": LATER, "why": "a test"} if plaintext else {"speaks": "tls"}
        fields = {"kind": "modality", "ae": ae_title, "addresses": address, "allow": "echo,store", **lane, **more}
        answer = self.program.post("/devices/new", json=fields)
        assert answer.status_code in {201, 409}, answer.text
        return path_of(ae_title)

    def find(self, ae_title: str) -> Record | None:
        """Give an enrolled device, or None."""
        answer = self.program.get(path_of(ae_title))
        return cast("Record", answer.json()) if answer.status_code == 200 else None
