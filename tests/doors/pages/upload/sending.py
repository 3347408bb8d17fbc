"""Files to send in, and a person who sends them, for the tests of uploading."""

import io
import json
import re
import zipfile
from typing import Any, cast

import httpx

from leadglass.dicom.part10 import file_meta
from tests.doors.pages.browser import GOOD, Browser, add_person
from tests.peers.web import Web
from tests.vault.sets import CT, EXPLICIT, instance

JSON = {"Accept": "application/json", "Sec-Fetch-Site": "same-origin"}


def file_of(**attributes: object) -> bytes:
    """Make a small DICOM file."""
    from pydicom.uid import generate_uid

    uid = str(attributes.setdefault("SOPInstanceUID", generate_uid()))
    return file_meta(CT, uid, EXPLICIT) + instance(**attributes)


def zipped(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Make a ZIP."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        for name, data in members:
            made.writestr(name, data)
    return buffer.getvalue()


class Sender:
    """Somebody who is signed in and sends files as the page's script does."""

    def __init__(self, web: Web, name: str, role: str = "technologist", *scope: str) -> None:
        self.name = add_person(web, name, role, *scope)
        self.browser = Browser(web)
        self.browser.sign_in(self.name, GOOD)
        self.client = self.browser.client

    @property
    def csrf(self) -> str:
        return str(self.client.get("/upload/session", headers=JSON).json()["csrf"])

    def post(self, content: bytes, media_type: str = "application/octet-stream", **more: str) -> httpx.Response:
        """Send a body as it is."""
        fields = {**JSON, "Content-Type": media_type, "x-leadglass-csrf": self.csrf, **more}
        return self.client.post("/upload/files", content=content, headers=fields)

    def send(self, *files: tuple[str, bytes]) -> list[dict[str, Any]]:
        """Send files as a form; gives what became of each."""
        parts = [("file", (name, data, "application/octet-stream")) for name, data in files]
        fields = {**JSON, "x-leadglass-csrf": self.csrf}
        answer = self.client.post("/upload/files", files=parts, headers=fields)
        assert answer.status_code == 200, answer.text
        return results(answer)

    def form(self, *files: tuple[str, bytes]) -> httpx.Response:
        """Send the form as a browser without scripts does."""
        self.browser.get("/upload")
        csrf = re.search(r'name="csrf" value="([^"]+)"', self.browser.page)
        assert csrf
        parts: list[tuple[str, Any]] = [("csrf", (None, csrf[1]))]
        parts += [("file", (name, data, "application/octet-stream")) for name, data in files]
        return self.client.post("/upload/files", files=parts, headers={"Sec-Fetch-Site": "same-origin"})


def results(answer: httpx.Response) -> list[dict[str, Any]]:
    """Give what the last line says."""
    return cast("list[dict[str, Any]]", json.loads(answer.text.strip().splitlines()[-1])["files"])
