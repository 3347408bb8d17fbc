"""Hostile data at the web door: a test for each class of weakness that was found in archives, named after it.

Rule: as ``test_data_classes``, whose texts, UIDs and bombs these are: what is stored here came by STOW-RS, and what
is read comes by HTTP.
"""

import json
import os
import re
import socket
from functools import partial
from typing import Final, cast
from urllib.parse import quote

import httpx
import pytest
from pydicom.uid import generate_uid

from tests.dicom.sets import element
from tests.hostile.test_data_classes import KEYWORDS, MARK, TEXTS, UIDS, data_set_of, file_of, made_bombs, plain
from tests.hostile.webstage import MIB, WebStage, at_once, multipart, stage
from tests.vault.sets import CT, EXPLICIT

__all__ = ["made_bombs", "stage"]
pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning")]

LONG: Final = os.environ.get("LEADGLASS_LONG") == "1"
ASKED: Final = (
    "PatientName", "PatientID", "AccessionNumber", "StudyDate", "StudyInstanceUID", "limit", "offset", "includefield",
    "fuzzymatching", "ModalitiesInStudy",
)  # fmt: skip
JSON_TYPES: Final = frozenset({"application/dicom+json", "application/problem+json", "application/json"})


@pytest.fixture(scope="module")
def hostile(stage: WebStage) -> tuple[str, ...]:
    """Store an image for each hostile text, which stands in every attribute; gives the studies that were taken."""
    files: list[bytes] = []
    studies: list[str] = []
    for text in TEXTS:
        studies.append(str(generate_uid()))
        data, uid = plain(
            StudyInstanceUID=studies[-1], **{key: text for key in KEYWORDS if text.isascii() or key != "Modality"}
        )
        files.append(file_of(data, uid))
    said = stage.stow(multipart(*files))
    assert said.status_code in (200, 202), said.text
    assert len(said.json()["00081199"]["Value"]) >= len(TEXTS) - 2, "what is only text is kept as it came"
    assert MARK not in said.text
    return tuple(studies)


def assert_harmless(said: httpx.Response) -> None:
    """Fail unless no browser takes an answer for a page, or looks for another type than it says."""
    media = said.headers["content-type"].partition(";")[0]
    assert media in JSON_TYPES | {"multipart/related", "application/dicom", "image/jpeg"}, media
    assert said.headers["x-content-type-options"] == "nosniff"
    assert said.headers["content-security-policy"].startswith("default-src 'none'")
    for name, value in said.headers.items():
        assert MARK not in value, name


def test_path_traversal_write(stage: WebStage) -> None:
    """Class: Path traversal, write. Path tricks in every UID, in Content-Location and in names of parts."""
    before = {str(path) for path in stage.web.leadglass.folder.rglob("*") if "objects" not in str(path)}
    for tag, keyword in (
        (0x00080018, "SOPInstanceUID"),
        (0x0020000D, "StudyInstanceUID"),
        (0x0020000E, "SeriesInstanceUID"),
    ):
        files: list[bytes] = []
        for trick in UIDS:
            data, uid = plain()
            genuine = cast("str", getattr(data_set_of(data), keyword)).encode()
            old = element(tag, "UI", genuine + b"\0" * (len(genuine) % 2))
            assert old in data
            raw = trick.encode() + b"\0" * (len(trick) % 2)
            files.append(file_of(data.replace(old, element(tag, "UI", raw)), uid))
        said = stage.stow(multipart(*files))
        assert said.status_code == 409
        assert "00081199" not in said.json()
        assert "owned" not in said.text
    for location in ("../../../../tmp/owned", "file:///etc/passwd", "/etc/passwd", "..\\x"):
        head = f"--edge\r\nContent-Type: application/dicom\r\nContent-Location: {location}\r\n"
        head += f'Content-Disposition: attachment; filename="{location}"\r\n\r\n'
        data, uid = plain()
        assert stage.stow(head.encode() + file_of(data, uid) + b"\r\n--edge--\r\n").status_code == 200
    now = {str(path) for path in stage.web.leadglass.folder.rglob("*") if "objects" not in str(path)}
    assert not {path for path in now - before if not path.endswith((".log", "-wal", "-shm"))}
    stage.assert_whole()


def test_path_traversal_read(stage: WebStage) -> None:
    """Class: Path traversal, read. No path of a URL is one of the disk."""
    with stage.client() as client:
        for trick in (
            *UIDS,
            "..%2f..%2fetc%2fpasswd",
            "%2e%2e/%2e%2e/etc/passwd",
            "....//etc/passwd",
            "%c0%ae%c0%ae/x",
        ):
            for path in (
                f"/dicom-web/studies/{trick}",
                f"/static/{trick}",
                f"/dicom-web/studies/1.2/series/{trick}/metadata",
            ):
                said = client.get(httpx.URL(stage.web.url + quote(path, safe="/%")))
                assert said.status_code in (400, 404), (path, said.status_code)
                assert b"root:" not in said.content


def test_sql_injection_by_what_is_stored_and_stored_xss_via_attributes(
    stage: WebStage, hostile: tuple[str, ...]
) -> None:
    """Classes: SQL injection, Stored XSS. What stands in an attribute comes back as it was, and as no page."""
    with stage.client() as client:
        for study in hostile:
            found = client.get("/dicom-web/studies", params={"StudyInstanceUID": study, "includefield": "all"})
            assert_harmless(found)
            [match] = found.json()
            assert match["0020000D"]["Value"] == [study]
            for path in ("", "/metadata", "/thumbnail", "/rendered", "/bulkdata"):
                said = client.get(f"/dicom-web/studies/{study}{path}")
                assert said.status_code in (200, 404, 406)
                assert_harmless(said)
            for media in ("text/html", "application/xhtml+xml", "image/svg+xml", "text/xml"):
                said = client.get(f"/dicom-web/studies/{study}/metadata", headers={"Accept": media})
                assert said.status_code == 406
                assert MARK not in said.text
                assert "'unsafe" not in said.headers["content-security-policy"]
    stage.assert_whole()


def test_sql_injection_by_what_is_asked(stage: WebStage, hostile: tuple[str, ...]) -> None:
    """Class: SQL injection. Every parameter, name and value: an answer of the Standard, never one too many."""
    tricks = (*TEXTS, "' OR 1=1 --", "\\", "%", "_", "[a-z]", "\u0000", "1' AND sleep(9) --")
    with stage.client() as client:
        everything = len(client.get("/dicom-web/studies", params={"limit": 5000}).json())
        assert everything >= len(hostile)
        for trick in tricks:
            for name in (*ASKED, trick):
                said = client.get("/dicom-web/studies", params={name: trick})
                assert said.status_code in (200, 400), (name, trick)
                assert_harmless(said)
                if said.status_code == 400:
                    assert MARK not in said.text, "what was sent is not repeated"
                elif name in ("PatientID", "AccessionNumber") and not set(trick) & set("*?\\"):
                    assert MARK in trick or said.json() == [], (name, trick)
                    assert len(said.json()) <= 2
        for path in ("/dicom-web/changes?since=", "/dicom-web/events?x=", "/wado?requestType=", "/healthz?x="):
            for trick in tricks:
                said = client.get(path + quote(trick))
                assert said.status_code in (200, 400), (path, trick)
                assert said.status_code == 200 or MARK not in said.text
        assert len(client.get("/dicom-web/studies", params={"limit": 5000}).json()) == everything
    assert MARK not in stage.said()
    stage.assert_whole()


def test_log_injection_and_patient_data_in_logs(stage: WebStage, hostile: tuple[str, ...]) -> None:
    """Class: Log injection / PHI in logs. Nothing of a request's path, query, fields or body."""
    assert hostile
    for field in (f"User-Agent: {MARK}\x1b[2J", f"Referer: http://{MARK}/", f"X-{MARK}: a", f"Cookie: {MARK}=a"):
        head = stage.head("GET", f"/dicom-web/studies?PatientName={MARK}")[:-2]
        assert stage.say(head + field.encode() + b"\r\n\r\n") is not None
    said = stage.said()
    assert MARK not in said
    assert "forged" not in said
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", said)
    assert MARK not in stage.web.leadglass.do("audit", "show", "--json")


def metadata(**attributes: object) -> dict[str, object]:
    """Give metadata of an instance without pixels."""
    given: dict[str, object] = {
        "00020010": {"vr": "UI", "Value": [EXPLICIT]},
        "00080016": {"vr": "UI", "Value": [CT]},
        "00080018": {"vr": "UI", "Value": [str(generate_uid())]},
        "0020000D": {"vr": "UI", "Value": [str(generate_uid())]},
        "0020000E": {"vr": "UI", "Value": [str(generate_uid())]},
    }
    return given | attributes


def test_ssrf(stage: WebStage) -> None:
    """Class: SSRF / token leak. No address in metadata is fetched, and no parameter is an address."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.5)
        address = f"http://127.0.0.1:{trap.getsockname()[1]}/x"
        model = [metadata(**{"7FE00010": {"vr": "OW", "BulkDataURI": address}})]
        body = multipart(json.dumps(model).encode(), media_type="application/dicom+json")
        said = stage.stow(body, content_type='multipart/related; type="application/dicom+json"; boundary=edge')
        assert said.status_code in (400, 409), said.text
        with stage.client() as client:
            for name in ("url", "callback", "redirect", "next", "iccprofile"):
                said = client.get("/dicom-web/studies", params={name: address})
                assert said.status_code == 400
                assert "location" not in said.headers
        with pytest.raises(TimeoutError):
            trap.accept()


XML_BOMBS: Final = {
    "entities": '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 or str()};" * 10}">' for n in range(1, 10))
    + "]><NativeDicomModel>&a9;</NativeDicomModel>",
    "external": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><NativeDicomModel>&e;</NativeDicomModel>',
    "parameter": '<!DOCTYPE x [<!ENTITY % e SYSTEM "http://127.0.0.1:1/x"> %e;]><NativeDicomModel/>',
    "document-type": '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x"><NativeDicomModel/>',
    "deep": "<NativeDicomModel>" + "<DicomAttribute>" * 100_000,
    "wide": "<NativeDicomModel>" + "<DicomAttribute/>" * 400_000 + "</NativeDicomModel>",
    "attribute": '<NativeDicomModel a="' + "a" * 4_000_000 + '"/>',
    "attributes": "<NativeDicomModel " + " ".join(f'a{n}="b"' for n in range(200_000)) + "/>",
    "utf-16": "<NativeDicomModel/>",
}


@pytest.mark.parametrize("name", XML_BOMBS)
def test_xxe(stage: WebStage, name: str) -> None:
    """Class: XXE. A clear refusal, nothing fetched, bounded memory."""
    text = XML_BOMBS[name].encode("utf-16" if name == "utf-16" else "utf-8")
    stage.process.forget_peak()
    said = stage.stow(
        multipart(text, media_type="application/dicom+xml"),
        content_type='multipart/related; type="application/dicom+xml"; boundary=edge',
    )
    assert said.status_code in (400, 409, 413), (said.status_code, said.text[:200])
    assert "root:" not in said.text
    assert stage.process.peak < 600 * MIB
    stage.assert_unharmed(10_000)


JSON_BOMBS: Final = {
    "nested-lists": "[" * 10_000 + "]" * 10_000,
    "nested-objects": '{"00400A730":' * 10_000 + "1" + "}" * 10_000,
    "nested-sequences": '[{"0040A730":{"vr":"SQ","Value":' * 10_000 + "[]" + "}}]" * 10_000,
    "no-end": "[" * 2_000_000,
    "number": '[{"00200013":{"vr":"IS","Value":[' + "9" * 1_000_000 + "]}}]",
    "exponent": '[{"00200013":{"vr":"DS","Value":[1e999999999]}}]',
    "same-key": '[{"00080018":{"vr":"UI","Value":["1.2"]},"00080018":{"vr":"UI","Value":["1.3"]}}]',
    "surrogates": '[{"00100010":{"vr":"PN","Value":[{"Alphabetic":"\\ud800"}]}}]',
    "not-a-number": '[{"00200013":{"vr":"DS","Value":[NaN,Infinity]}}]',
    "many": "[" + ",".join(["{}"] * 300_000) + "]",
    "base64": '[{"7FE00010":{"vr":"OW","InlineBinary":"' + "A" * 3_000_001 + '"}}]',
}


@pytest.mark.parametrize("name", JSON_BOMBS)
def test_deserialisation(stage: WebStage, name: str) -> None:
    """Class: Deserialisation. JSON that is deep, endless or absurd: a clear refusal, bounded memory."""
    stage.process.forget_peak()
    said = stage.stow(
        multipart(JSON_BOMBS[name].encode(), media_type="application/dicom+json"),
        content_type='multipart/related; type="application/dicom+json"; boundary=edge',
    )
    assert said.status_code in (400, 409, 413), (said.status_code, said.text[:200])
    assert stage.process.peak < 600 * MIB
    stage.assert_unharmed(10_000)


@pytest.mark.skipif(not LONG, reason="Making and inflating 1 GiB takes a while: LEADGLASS_LONG=1 runs it.")
@pytest.mark.parametrize("name", ["nested-1000", "nested-100000", "deflated-to-1-gib", "declares-4-gib-of-UT"])
def test_bombs_and_memory(
    stage: WebStage, made_bombs: dict[str, tuple[bytes, str, str, frozenset[int]]], name: str
) -> None:
    """Class: Bombs / memory. By STOW-RS, among good instances of the same request: refused alone."""
    data, uid, syntax, _ = made_bombs[name]
    good = [file_of(*plain()) for _ in range(2)]
    stage.process.forget_peak()
    said = stage.stow(multipart(good[0], file_of(data, uid, syntax=syntax), good[1]))
    assert said.status_code == 202, said.text
    assert len(said.json()["00081199"]["Value"]) == 2
    assert stage.process.peak < 500 * MIB
    stage.assert_unharmed(10_000)


def test_preamble_polyglot(stage: WebStage) -> None:
    """Class: Preamble polyglot. What leaves has 128 zero bytes, and is no page (ADR 0003)."""
    study = str(generate_uid())
    preambles = (b"MZ\x90\0", b"\x7fELF", b"PK\x03\x04", b"%PDF-1.7\n", b"<html><script>alert(1)</script>", b"II*\0")
    files: list[bytes] = []
    for preamble in preambles:
        data, uid = plain(StudyInstanceUID=study, PatientID="POLYGLOT")
        files.append(file_of(data, uid, preamble=preamble))
    assert stage.stow(multipart(*files)).status_code == 200
    with stage.client() as client:
        for match in client.get(f"/dicom-web/studies/{study}/instances").json():
            path = match["00081190"]["Value"][0].partition("/dicom-web")[2]
            said = client.get(f"/dicom-web{path}", headers={"Accept": "application/dicom; transfer-syntax=*"})
            assert said.content[:132] == bytes(128) + b"DICM"
            assert_harmless(said)


def test_numeric_string_abuse(stage: WebStage) -> None:
    """Class: Numeric-string abuse. DS and IS that are no numbers, or absurd, are stored or refused, and found."""
    study = str(generate_uid())
    files: list[bytes] = []
    for trick in ("1e999999", "NaN", "0x7f", "-" * 16, "9" * 16, "1\\2\\3", "'; --", "\u0661"):
        data, uid = plain(StudyInstanceUID=study, PatientID="NUMBERS")
        old = element(0x00200013, "IS", b"1 ")
        assert old in data
        files.append(file_of(data.replace(old, element(0x00200013, "IS", trick.encode()[:12].ljust(12))), uid))
    assert stage.stow(multipart(*files)).status_code in (200, 202)
    with stage.client() as client:
        for path in ("instances", "instances?InstanceNumber=1", "metadata", "series", "rendered", "thumbnail"):
            assert client.get(f"/dicom-web/studies/{study}/{path}").status_code in (200, 406), path
    stage.assert_unharmed(10_000)


def test_parts_and_names_without_end(stage: WebStage) -> None:
    """Class: Bombs / memory. Parts, headers of parts and parameters of media types are counted."""
    stage.process.forget_peak()
    bodies = {
        b"--edge\r\n" + b"X: y\r\n" * 10_000 + b"\r\n\r\n--edge--\r\n": 400,
        b"--edge\r\nX: " + b"y" * MIB + b"\r\n\r\n\r\n--edge--\r\n": 400,
        b"a" * MIB: 400,
        b"\r\n" * MIB: 400,
    }
    if LONG:
        bodies[b"--edge\r\n\r\n\r\n" * 100_002 + b"--edge--\r\n"] = 413
    for body, status in bodies.items():
        assert stage.stow(body).status_code == status
    for content_type in ("multipart/related; " + "a=b; " * 5_000 + "a=b", "multipart/related; boundary=" + "a" * 30_000,
                         'multipart/related; boundary="' + "\\\\" * 15_000 + '"', "; " * 15_000 + "a"):  # fmt: skip
        assert stage.stow(b"x", content_type=content_type).status_code in (400, 415)
    assert stage.process.peak < 500 * MIB
    stage.assert_unharmed(10_000)


def test_a_megabyte_in_one_line_of_a_header_is_refused_by_the_server(stage: WebStage) -> None:
    """Class: Bombs / memory."""
    lines = (
        b"Accept: " + b"a" * MIB,
        b"X" * MIB + b": a",
        b"Cookie: " + b"a=b; " * 200_000,
        b"Range: bytes=" + b"0-," * 300_000,
    )
    stage.process.forget_peak()

    def send(line: bytes) -> None:
        said = stage.say(stage.head("GET", "/dicom-web/studies")[:-2] + line + b"\r\n\r\n", patience=30.0)
        assert said is None or said.status in (400, 431)

    with stage.legitimate() as served:
        assert at_once(8, [partial(send, line) for line in lines * 8]) == []
    served.assert_served()
    assert stage.process.peak < 500 * MIB
    stage.assert_unharmed(10_000)
