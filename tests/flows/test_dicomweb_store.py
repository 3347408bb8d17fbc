"""Strangers that store by DICOMweb: dicomweb-client, Orthanc's plugin, curl, and what no client should send."""

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.filereader import dcmread  # pyright: ignore[reportUnknownVariableType]

from leadglass.dicom.native_xml import write_native
from tests.doors.dicomweb.stowhouse import BOUNDARY, RELATED, file_of, multipart
from tests.peers.dataset import split
from tests.peers.orthanc import Json, orthanc
from tests.peers.web import Web, serving

STUDIES = "/dicom-web/studies"
EVERYTHING_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
NAMES = ("pydicom/CT_small.dcm", "pydicom/MR_small_RLE.dcm", "highdicom/sm_image_jpegls.dcm")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Serve an empty archive for the tests of this module."""
    with serving(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(scope="module")
def token(web: Web) -> str:
    """Give a token of a program that may store."""
    return web.token()


def _read(path: Path) -> Any:
    return cast("Any", dcmread)(path)


def _read_bytes(data: bytes) -> Any:
    return cast("Any", dcmread)(BytesIO(data))


def is_stored(web: Web, token: str, file: bytes, study: str) -> bool:
    """Say whether the data set of a file is in what the archive gives back of a study."""
    with web.client(token) as client:
        answer = client.get(f"{STUDIES}/{study}", headers={"Accept": EVERYTHING_AS_STORED})
    return answer.status_code == 200 and split(file)[1] in answer.content


def test_dicomweb_client_stores_and_is_told_where(web: Web, token: str, corpus: Path) -> None:
    with requests.Session() as session:
        session.verify = str(web.authority)
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {token}"
        stranger = DICOMwebClient(f"{web.url}/dicom-web", session=session, timeout=60)
        sets = [_read(corpus / name) for name in NAMES]
        answer = cast("Any", stranger).store_instances(sets)
        told: list[str] = [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence]
        assert told == [one.SOPInstanceUID for one in sets]
        url = f"{STUDIES}/{sets[0].StudyInstanceUID}/series/{sets[0].SeriesInstanceUID}/instances/{told[0]}"
        assert answer.ReferencedSOPSequence[0].RetrieveURL.startswith("https://127.0.0.1")
        assert answer.ReferencedSOPSequence[0].RetrieveURL.endswith(url)
        for name, one in zip(NAMES, sets, strict=True):
            assert is_stored(web, token, (corpus / name).read_bytes(), one.StudyInstanceUID)
        again = cast("Any", stranger).store_instances(sets[:1], study_instance_uid=sets[0].StudyInstanceUID)
        assert [item.ReferencedSOPInstanceUID for item in again.ReferencedSOPSequence] == told[:1]
        with pytest.raises(requests.HTTPError, match="409"):
            cast("Any", stranger).store_instances(sets[:1], study_instance_uid="1.2.3")


def test_orthanc_sends_by_its_dicomweb_plugin(web: Web, token: str, corpus: Path, tmp_path: Path) -> None:
    server: Json = {"Url": f"{web.url}/dicom-web/", "HttpHeaders": {"Authorization": f"Bearer {token}"}}
    trusting: dict[str, Json] = {"HttpsCACertificates": str(web.authority), "HttpsVerifyPeers": True}
    series = sorted((corpus / "series").glob("*/*.dcm"))[:8]
    with orthanc(tmp_path / "orthanc", {}, dicomweb={"Servers": {"lead": server}}, more=trusting) as peer:
        sent = [peer.upload(path) for path in series]
        status, answer = peer.post("/dicom-web/servers/lead/stow", {"Resources": list(sent), "Synchronous": True})
        assert (status, isinstance(answer, dict) and answer["InstancesCount"]) == (200, str(len(series)))
        files = [peer.file(instance) for instance in sent]
    study = _read(series[0]).StudyInstanceUID
    assert all(is_stored(web, token, file, study) for file in files)


def test_curl_sends_a_file_once_it_was_told_to_go_on(web: Web, token: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed (Debian: apt-get install curl).")
    file = file_of(SOPInstanceUID="1.5.1", StudyInstanceUID="1.5", SeriesInstanceUID="1.5.2", PixelData=bytes(4 << 20))
    (tmp_path / "body").write_bytes(multipart(file))
    command = ["curl", "-sS", "--noproxy", "*", "--cacert", str(web.authority), "-v"]
    headers = [f"Authorization: Bearer {token}", f"Content-Type: {RELATED}", "Expect: 100-continue"]
    options = [part for header in headers for part in ("-H", header)]
    done = subprocess.run(
        [*command, *options, "-X", "POST", "-T", tmp_path / "body", f"{web.url}{STUDIES}/1.5"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "HTTP/1.1 100" in done.stderr
    assert '"1.5.1"' in done.stdout
    assert is_stored(web, token, file, "1.5")


@pytest.mark.parametrize("media_type", ["application/dicom+json", "application/dicom+xml"])
def test_metadata_and_bulk_data_are_an_instance_that_is_given_back_as_it_was(
    web: Web, token: str, corpus: Path, media_type: str
) -> None:
    original = _read(corpus / "pydicom/CT_small.dcm")
    number = 1 + media_type.endswith("xml")
    original.SOPInstanceUID, original.SeriesInstanceUID, original.StudyInstanceUID = f"1.8.{number}.1.1", "1.8.1", "1.8"
    model = {tag: element for tag, element in original.to_json_dict().items() if tag not in ("FFFCFFFC", "00080005")}
    sent = model | {"7FE00010": {"vr": "OW", "BulkDataURI": "pixels"}}
    text = json.dumps([sent]).encode() if media_type.endswith("json") else write_native(cast("Any", sent))
    pixels = ({"Content-Type": "application/octet-stream", "Content-Location": "pixels"}, original.PixelData)
    body = multipart(pixels, ({"Content-Type": media_type}, text))
    kind = f'multipart/related; type="{media_type}"; boundary={BOUNDARY}'
    path = f"{STUDIES}/1.8/series/1.8.1/instances/{original.SOPInstanceUID}"
    with web.client(token) as client:
        answer = client.post(f"{STUDIES}/1.8", content=body, headers={"Content-Type": kind, "Accept": media_type})
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        got = client.get(path, headers={"Accept": "application/dicom; transfer-syntax=*"})
    back = _read_bytes(got.content)
    assert back.PixelData == original.PixelData
    again = {tag: element for tag, element in back.to_json_dict().items() if tag != "00080005"}
    assert again == model


def test_who_may_not_store_is_told_so_and_nothing_is_kept(web: Web) -> None:
    file = file_of(SOPInstanceUID="1.6.1", StudyInstanceUID="1.6", SeriesInstanceUID="1.6.2")
    for shown, status in ((None, 401), (web.token("referrer"), 403), (web.token("auditor"), 403)):
        with web.client(shown) as client:
            answer = client.post(STUDIES, content=multipart(file), headers={"Content-Type": RELATED})
            assert answer.status_code == status
    assert not is_stored(web, web.token(name="looker"), file, "1.6")


def wire(web: Web, sent: bytes, *, waits: bool = True) -> bytes:
    """Send bytes over TLS as they are, and read the answer until the server ends or has answered."""
    context = ssl.create_default_context(cafile=str(web.authority))
    with (
        socket.create_connection(web.address, timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        secure.sendall(sent)
        if not waits:
            return b""
        answer = b""
        while b"\r\n\r\n" not in answer:
            block = secure.recv(65_536)
            if not block:
                break
            answer += block
        return answer


def head(token: str, *lines: str) -> bytes:
    """Write the head of a request to store."""
    fields = ["Host: 127.0.0.1", f"Authorization: Bearer {token}", *lines]
    return f"POST {STUDIES} HTTP/1.1\r\n".encode() + "".join(f"{line}\r\n" for line in fields).encode() + b"\r\n"


@pytest.mark.parametrize(
    ("lines", "body", "status"),
    [
        ([f"Content-Type: {RELATED}", "Content-Length: 9"], b"no bounds", b"400"),
        ([f"Content-Type: {RELATED}", "Content-Length: 0"], b"", b"400"),
        ([f"Content-Type: {RELATED}"], b"", b"411"),
        (["Content-Type: text/html", "Content-Length: 1000000000", "Expect: 100-continue"], b"", b"415"),
        ([f"Content-Type: {RELATED}", "Content-Encoding: gzip", "Content-Length: 5"], b"12345", b"415"),
        ([f"Content-Type: {RELATED}", "Accept: text/html", "Content-Length: 5"], b"12345", b"406"),
        ([f"Content-Type: {RELATED}", "Content-Length: 99999999999999"], b"", b"413"),
        ([f"Content-Type: multipart/related; boundary={'x' * 10_240}", "Content-Length: 5"], b"12345", b"400"),
        (
            [f"Content-Type: {RELATED}", "Transfer-Encoding: chunked"],
            b"18\r\n--" + BOUNDARY.encode()[:22] + b"\r\n0\r\n\r\n",
            b"400",
        ),
    ],
)
def test_what_is_no_request_to_store_is_answered_and_not_waited_for(
    web: Web, token: str, lines: list[str], body: bytes, status: bytes
) -> None:
    answer = wire(web, head(token, *lines) + body)
    assert answer.split(b" ")[1:2] == [status], answer[:300]
    assert b"Traceback" not in answer


def test_a_client_that_breaks_off_leaves_no_half_of_an_instance(web: Web, token: str) -> None:
    whole = file_of(SOPInstanceUID="1.7.1", StudyInstanceUID="1.7", SeriesInstanceUID="1.7.2", PixelData=bytes(3 << 20))
    body = multipart(whole)
    start = head(token, f"Content-Type: {RELATED}", f"Content-Length: {len(body)}")
    for cut in (10, 500, 2 << 20, len(body) - 60):
        wire(web, start + body[:cut], waits=False)
    with web.client(token) as client:
        assert client.post(STUDIES, content=body, headers={"Content-Type": RELATED}).status_code == 200
    assert is_stored(web, token, whole, "1.7")
    report = web.leadglass.do("fsck")
    assert "orphan" not in report
    assert "Traceback" not in web.leadglass.log.read_text()
