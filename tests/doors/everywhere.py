"""One archive behind every door in this process, asked by callers of a test's own making.

Rule: the doors, the archive and the vault are the real ones; only who asks is
the test's: an AE title for DIMSE, a header field for the web.
"""

import asyncio
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from enum import Enum
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import httpx
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from leadglass.archive.archive import Archive
from leadglass.audit.refusals import Refusals
from leadglass.dicom.part10 import file_meta
from leadglass.dicom.renderer import Renderer
from leadglass.dicom.transcode import Transcoder
from leadglass.doors.assembly import routes_of
from leadglass.doors.threads import Threads
from leadglass.doors.web.dispatch import WebApp
from leadglass.doors.web.routes import Services
from leadglass.doors.web.settings import WebSettings
from leadglass.identity.visitors import Visitors
from leadglass.policy.caller import Caller
from tests.doors.dimse.house import House, build
from tests.peers.scu import (
    NOT_ACCEPTED,
    NOT_ANSWERED,
    STUDY_FIND,
    STUDY_GET,
    Collected,
    Instance,
    Way,
    association,
    find,
    identifier,
    last_status,
    send,
)
from tests.vault.sets import CT, EXPLICIT, data_set, encoded

NAME = "Doe^Jane"
_FIELD = "x-caller"


class Sight(Enum):
    """What comes of a wish."""

    SEEN = "seen"
    MASKED = "masked"
    NOT_HERE = "not here"
    REFUSED = "refused"


class _Connection:
    def identified(self) -> bool:
        return True

    def cut(self) -> None:
        raise AssertionError


class _Field:
    """Evidence that is a name in a header field."""

    def __init__(self, callers: dict[str, Caller]) -> None:
        self._callers = callers

    async def caller(self, request: Request) -> Caller | None:
        return self._callers.get(request.headers.get(_FIELD, ""))


@dataclass(slots=True)
class Everywhere:
    """The archive and its doors; ``callers`` may be changed by AE title, and is by tests."""

    house: House
    callers: dict[str, Caller]
    web: WebApp

    def store(self, study: str, **values: object) -> str:
        """Store an instance of a study past the doors; gives its SOP Instance UID."""
        made = data_set(StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1", PatientName=NAME, **values)
        path = self.house.folder / "one.dcm"
        path.write_bytes(file_meta(str(made.SOPClassUID), str(made.SOPInstanceUID), EXPLICIT) + encoded(made))
        self.house.take([path])
        return str(made.SOPInstanceUID)

    # --- DIMSE ----------------------------------------------------------------

    def _way(self, title: str) -> Way:
        return Way(self.house.port, title)

    def c_find(self, title: str, study: str) -> Sight:
        with association(self._way(title), [(STUDY_FIND, (EXPLICIT,))]) as asked:
            if not asked.is_established or not asked.accepted_contexts:
                return Sight.REFUSED
            keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study, PatientName="")
            status, matches = find(asked, keys)
        assert status == 0x0000
        return _sight([str(match.PatientName) for match in matches])

    def every_c_find(self, title: str) -> set[str] | None:
        """Give every study that a universal query shows; None when it is refused."""
        with association(self._way(title), [(STUDY_FIND, (EXPLICIT,))]) as asked:
            if not asked.is_established or not asked.accepted_contexts:
                return None
            status, matches = find(asked, identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=""))
        assert status == 0x0000
        return {str(match.StudyInstanceUID) for match in matches}

    def c_get(self, title: str, study: str) -> Sight:
        collected = Collected()
        contexts = [(STUDY_GET, (EXPLICIT,)), (CT, (EXPLICIT,))]
        with association(self._way(title), contexts, get=collected) as asked:
            if not asked.is_established or STUDY_GET not in [c.abstract_syntax for c in asked.accepted_contexts]:
                return Sight.REFUSED
            keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study)
            last_status(asked.send_c_get(keys, STUDY_GET))
        return _sight([_name(each.data) for each in collected.instances.values()])

    def c_store(self, title: str, study: str) -> Sight:
        uid, data = new_instance(study)
        with association(self._way(title), [(CT, (EXPLICIT,))]) as asked:
            if not asked.is_established:
                return Sight.REFUSED
            status = send(asked, Instance(CT, uid, EXPLICIT, data))
        assert status != NOT_ANSWERED
        assert status in (0x0000, 0x0124, NOT_ACCEPTED), hex(status)
        return Sight.SEEN if status == 0x0000 else Sight.REFUSED

    # --- the web --------------------------------------------------------------

    def ask(self, title: str, method: str, path: str, accept: str = "", **more: Any) -> httpx.Response:
        """Ask the web door."""
        headers = {_FIELD: title, **({"Accept": accept} if accept else {}), **more.pop("headers", {})}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope["leadglass.peer"] = "127.0.0.1"
            scope["leadglass.connection"] = _Connection()
            await self.web(scope, receive, send)

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="https://pacs.example") as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(asked())

    def qido(self, title: str, study: str) -> Sight:
        answer = self.ask(title, "GET", f"/dicom-web/studies?StudyInstanceUID={study}")
        if answer.status_code == 403:
            return Sight.REFUSED
        assert answer.status_code == 200, answer.text
        rows = answer.json()
        return _sight([row["00100010"].get("Value", [{"Alphabetic": ""}])[0]["Alphabetic"] for row in rows])

    def every_qido(self, title: str) -> set[str] | None:
        """Give every study that a query without keys shows; None when it is refused."""
        answer = self.ask(title, "GET", "/dicom-web/studies?limit=1000")
        if answer.status_code == 403:
            return None
        assert answer.status_code == 200, answer.text
        return {row["0020000D"]["Value"][0] for row in answer.json()}

    def metadata(self, title: str, study: str) -> Sight:
        answer = self.ask(title, "GET", f"/dicom-web/studies/{study}/metadata")
        if answer.status_code != 200:
            return _refusal(answer)
        names = [row["00100010"].get("Value", [{"Alphabetic": ""}])[0]["Alphabetic"] for row in answer.json()]
        return _sight(names)

    def wado(self, title: str, study: str) -> Sight:
        accept = 'multipart/related; type="application/dicom"'
        answer = self.ask(title, "GET", f"/dicom-web/studies/{study}", accept)
        if answer.status_code != 200:
            return _refusal(answer)
        head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
        parts = BytesParser(policy=HTTP).parsebytes(head + answer.content).iter_parts()
        return _sight([_name(_bytes(part.get_payload(decode=True)), is_file=True) for part in parts])

    def wado_uri(self, title: str, study: str, instance: str) -> Sight:
        path = f"/wado?requestType=WADO&studyUID={study}&seriesUID={study}.1&objectUID={instance}"
        answer = self.ask(title, "GET", f"{path}&contentType=application/dicom")
        return _refusal(answer) if answer.status_code != 200 else _sight([_name(answer.content, is_file=True)])

    def status(self, title: str, path: str, accept: str = "") -> int:
        """Give the status of a GET."""
        return self.ask(title, "GET", path, accept).status_code

    def stow(self, title: str, study: str) -> Sight:
        uid, data = new_instance(study)
        body = (
            b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file_meta(CT, uid, EXPLICIT) + data + b"\r\n--b--\r\n"
        )
        kind = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
        answer = self.ask(title, "POST", "/dicom-web/studies", "application/dicom+json", content=body, headers=kind)
        assert answer.status_code in (200, 403, 409), answer.text
        return Sight.SEEN if answer.status_code == 200 else Sight.REFUSED

    def delete(self, title: str, study: str) -> Sight:
        answer = self.ask(title, "DELETE", f"/dicom-web/studies/{study}")
        return Sight.SEEN if answer.status_code in (200, 204) else _refusal(answer)


def new_instance(study: str) -> tuple[str, bytes]:
    """Make a CT instance that was never sent; gives its UID and its data set."""
    uid = str(generate_uid())
    made: Dataset = data_set(StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1", SOPInstanceUID=uid)
    return uid, encoded(made)


def _sight(names: list[str]) -> Sight:
    if not names:
        return Sight.NOT_HERE
    assert set(names) <= {"", NAME}
    assert len(set(names)) == 1
    return Sight.SEEN if names[0] else Sight.MASKED


def _refusal(answer: httpx.Response) -> Sight:
    assert answer.status_code in (403, 404), answer.text
    return Sight.REFUSED if answer.status_code == 403 else Sight.NOT_HERE


def _bytes(payload: object) -> bytes:
    assert isinstance(payload, bytes)
    return payload


def _name(data: bytes, *, is_file: bool = False) -> str:
    whole = data if is_file else file_meta(CT, "1.2", EXPLICIT) + data
    return str(cast("Any", pydicom).dcmread(BytesIO(whole)).PatientName)


@contextmanager
def opened(folder: Path) -> Generator[Everywhere]:
    """Open an archive with every door."""
    callers: dict[str, Caller] = {}
    with build(folder, callers=callers) as house, closing(Transcoder()) as transcoder, closing(Renderer()) as renderer:
        threads = Threads(house.core)
        services = Services(
            archive=Archive(house.vault, house.audit, door="dicomweb"),
            threads=threads,
            transcoder=transcoder,
            renderer=renderer,
            settings=WebSettings(),
        )
        visitors = Visitors(Refusals(house.audit, window=0.0))
        web = WebApp(routes_of(services), _Field(callers), visitors, threads, body_bytes=1 << 30)
        yield Everywhere(house, callers, web)
