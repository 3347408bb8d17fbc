"""Orthanc, as Debian ships it (1.10.1), driven over its REST interface.

C-GET as a client exists in Orthanc from 1.12.6 on, so Debian's fetches by C-MOVE only.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.peers.running import Credentials, find_program, free_port, is_listening, running, wait_until

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

DICOMWEB_PLUGIN = (
    Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/local/share/orthanc/plugins/libOrthancDicomWeb.so"),
)


@dataclass(frozen=True, slots=True)
class Orthanc:
    """A running Orthanc.

    Parameters
    ----------
    http, dicom : int
        Its ports on 127.0.0.1.
    ae_title : str
        Its AE title.
    """

    http: int
    dicom: int
    ae_title: str

    def raw(self, method: str, path: str, body: bytes | None = None, *, timeout: float = 120.0) -> tuple[int, bytes]:
        """Do one HTTP request; gives status and body."""
        connection = HTTPConnection("127.0.0.1", self.http, timeout=timeout)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Json:
        """GET JSON; fails on any status but 200."""
        status, body = self.raw("GET", path)
        assert status == 200, f"GET {path}: {status} {body[:400]!r}"
        answer: Json = json.loads(body)
        return answer

    def post(self, path: str, body: Json | bytes) -> tuple[int, Json]:
        """POST JSON, or bytes as they are; gives status and JSON."""
        status, answer = self.raw("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode())
        try:
            parsed: Json = json.loads(answer)
        except ValueError:
            parsed = answer.decode(errors="replace")
        return status, parsed

    def upload(self, path: Path) -> str:
        """Put a file into Orthanc; gives Orthanc's id of the instance."""
        status, answer = self.post("/instances", path.read_bytes())
        assert status == 200, f"Orthanc does not take {path.name}: {answer}"
        assert isinstance(answer, dict)
        return str(answer["ID"])

    def instances(self) -> list[str]:
        """Give Orthanc's ids of all it has."""
        listed = self.get("/instances")
        assert isinstance(listed, list)
        return [str(one) for one in listed]

    def forget(self) -> None:
        """Delete all it has."""
        for one in self.instances():
            self.raw("DELETE", f"/instances/{one}")

    def file(self, instance: str) -> bytes:
        """Give the file of an instance as Orthanc stored it."""
        status, body = self.raw("GET", f"/instances/{instance}/file")
        assert status == 200
        return body


@dataclass(frozen=True, slots=True)
class Modality:
    """A remote peer in Orthanc's configuration."""

    ae_title: str
    host: str
    port: int
    tls: bool = False


@contextmanager
def orthanc(
    folder: Path,
    modalities: Mapping[str, Modality],
    *,
    ae_title: str = "ORTHANC",
    dicom_port: int = 0,
    http_port: int = 0,
    credentials: Credentials | None = None,
    dicomweb: Mapping[str, Json] | None = None,
    more: Mapping[str, Json] | None = None,
) -> Generator[Orthanc]:
    """Run an Orthanc with its own storage; with ``credentials`` its DICOM side speaks TLS only.

    With ``dicomweb``, even empty, its DICOMweb plugin is loaded with these
    settings; ``more`` adds to the configuration.
    """
    program = find_program("Orthanc", "orthanc")
    if program is None:
        pytest.skip("Orthanc is not installed (Debian: apt-get install orthanc).")
    folder.mkdir(parents=True, exist_ok=True)
    peer = Orthanc(http_port or free_port(), dicom_port or free_port(), ae_title)
    configuration: dict[str, Json] = {
        "Name": "stranger",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "HttpPort": peer.http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": ae_title,
        "DicomPort": peer.dicom,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "UnknownSopClassAccepted": True,
        "DicomScuTimeout": 30,
        "OverwriteInstances": True,
        "StorageCompression": False,
        "DicomModalities": {
            name: {
                "AET": one.ae_title,
                "Host": one.host,
                "Port": one.port,
                "UseDicomTls": one.tls,
                "AllowTranscoding": False,
            }
            for name, one in modalities.items()
        },
    }
    if dicomweb is not None:
        plugin = next((path for path in DICOMWEB_PLUGIN if path.is_file()), None)
        if plugin is None:
            pytest.skip("Orthanc's DICOMweb plugin is not installed (Debian: apt-get install orthanc-dicomweb).")
        configuration |= {"Plugins": [str(plugin)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/", **dicomweb}}
    configuration |= more or {}
    if credentials is not None:
        configuration |= {
            "DicomTlsEnabled": True,
            "DicomTlsPrivateKey": str(credentials.key),
            "DicomTlsCertificate": str(credentials.certificate),
            "DicomTlsTrustedCertificates": str(credentials.authority),
        }
    (folder / "orthanc.json").write_text(json.dumps(configuration, indent=2))
    with running([program, folder / "orthanc.json"], log=folder / "orthanc.log") as process:
        wait_until(
            lambda: process.poll() is not None or (is_listening(peer.http) and is_listening(peer.dicom)),
            "Orthanc listens",
            seconds=60,
        )
        assert process.poll() is None, (folder / "orthanc.log").read_text(errors="replace")[-2000:]
        yield peer
