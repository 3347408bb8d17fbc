"""A real archive behind the Store transaction, asked as a server would ask it, in blocks that the test chooses.

Rule: vault, audit log and handler are the real ones; only the connection is the test's own.
"""

import asyncio
import json
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from starlette.requests import ClientDisconnect, Request

from leadglass.archive.archive import Archive
from leadglass.audit.event import Event
from leadglass.audit.log import AuditLog
from leadglass.crypto.wrap import ArchiveKey
from leadglass.doors.dicomweb.multipart import MultipartLimits
from leadglass.doors.dicomweb.stow import Stow
from leadglass.doors.threads import Pool, Threads
from leadglass.doors.web.problem import problem_of
from leadglass.doors.web.routes import Asked
from leadglass.errors import LeadglassError
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.vault.settings import VaultSettings
from leadglass.vault.vault import Vault, open_vault
from tests.callers import device
from tests.vault.sets import EXPLICIT, data_set

BOUNDARY = "the-boundary-of-the-test"
RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'

Part = tuple[dict[str, str], bytes]


def part10(made: Dataset, syntax: str = EXPLICIT) -> bytes:
    """Encode a data set as a DICOM file."""
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2")
    made.file_meta.MediaStorageSOPInstanceUID = made.get("SOPInstanceUID", "1.2.3")
    made.file_meta.TransferSyntaxUID = UID(syntax)
    buffer = BytesIO()
    cast("Any", made).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def file_of(**attributes: object) -> bytes:
    """Make a small CT instance as a DICOM file."""
    return part10(data_set(**attributes))


def multipart(*parts: bytes | Part, boundary: str = BOUNDARY, media_type: str = "application/dicom") -> bytes:
    """Write a body: parts of one media type, or with headers of their own."""
    written: list[bytes] = []
    for part in parts:
        headers, data = ({"Content-Type": media_type}, part) if isinstance(part, bytes) else part
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        written += [f"--{boundary}\r\n{lines}\r\n".encode("latin_1"), data, b"\r\n"]
    return b"".join([*written, f"--{boundary}--\r\n".encode()])


@dataclass(frozen=True, slots=True)
class Answer:
    """What the handler answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def module(self) -> dict[str, Any]:
        """The response module."""
        return cast("dict[str, Any]", json.loads(self.body))

    @property
    def detail(self) -> str:
        """What the problem says."""
        return str(self.module.get("detail", ""))

    def items(self, tag: str) -> list[dict[str, Any]]:
        """Give the items of one of the module's sequences."""
        return cast("list[dict[str, Any]]", self.module.get(tag, {}).get("Value", []))

    @property
    def stored(self) -> list[str]:
        """SOP Instance UIDs of the Referenced SOP Sequence."""
        return [item["00081155"]["Value"][0] for item in self.items("00081199")]

    @property
    def failed(self) -> list[tuple[str, int]]:
        """SOP Instance UID and reason of each item of the Failed SOP Sequence."""
        return [(item["00081155"]["Value"][0], item["00081197"]["Value"][0]) for item in self.items("00081198")]

    @property
    def others(self) -> list[int]:
        """Reasons of the Other Failures Sequence."""
        return [item["00081197"]["Value"][0] for item in self.items("0008119A")]


@dataclass(slots=True)
class StowHouse:
    """An archive and its Store transaction."""

    folder: Path
    archive: Archive
    vault: Vault
    audit: AuditLog
    pool: Pool
    limits: MultipartLimits
    caller: Caller

    def post(
        self,
        body: bytes | Sequence[bytes] | Iterable[bytes] | None,
        *,
        study: str | None = None,
        caller: Caller | None = None,
        disconnects: bool = False,
        fields: dict[str, str] | None = None,
        **headers: str,
    ) -> Answer:
        """Send a body, in the blocks in which it is given; header names with ``_`` for ``-``, empty ones not at all."""
        sent = {"content-type": RELATED, "host": "pacs.example"}
        if body is not None:
            sent["transfer-encoding"] = "chunked"
        sent |= {name.replace("_", "-"): value for name, value in {**headers, **(fields or {})}.items()}
        blocks = iter([body] if isinstance(body, bytes) else body or [])
        scope = {
            "type": "http",
            "method": "POST",
            "scheme": "https",
            "path": "/dicom-web/studies" if study is None else f"/dicom-web/studies/{study}",
            "query_string": b"",
            "headers": [(name.encode(), value.encode("latin_1")) for name, value in sent.items() if value],
            "server": ("pacs.example", 443),
            "path_params": {} if study is None else {"study": study},
        }

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0)
            block = next(blocks, None)
            if block is not None:
                return {"type": "http.request", "body": block, "more_body": True}
            if disconnects:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": b"", "more_body": False}

        async def ask() -> Answer:
            stow = Stow(self.archive, Threads(self.pool), self.limits)
            asked = Asked(Request(scope, receive), caller or self.caller)
            try:
                response = await stow.store(asked)
            except LeadglassError as error:
                response = problem_of(error).response()
            assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            return Answer(response.status_code, dict(response.headers), bytes(response.body))

        try:
            return asyncio.run(ask())
        except ClientDisconnect:
            return Answer(0, {}, b"")

    def events(self, outcome: str = "") -> list[Event]:
        """Give what is on record."""
        events = [record.event for record in self.audit.records()]
        return [event for event in events if not outcome or event.outcome.value == outcome]


@contextmanager
def opened(folder: Path, settings: VaultSettings | None = None) -> Generator[StowHouse]:
    """Open an archive in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        path = folder / "archive.key"
        key = ArchiveKey.load(path) if path.exists() else ArchiveKey.create(path)
        audit = stack.enter_context(AuditLog(folder / "audit.db", key.derive("audit"), key.derive("audit signing")))
        vault = stack.enter_context(open_vault(folder, key, settings or VaultSettings(min_free_bytes=0)))
        archive = Archive(vault, audit, door="dicomweb")
        pool = stack.enter_context(Pool(8, "core"))
        yield StowHouse(folder, archive, vault, audit, pool, MultipartLimits(), device("SENDER", Action.STORE))
