"""Sending files in: what becomes of each, with scripts and without, and what cannot be smuggled in."""

import hashlib
import struct
import zipfile
from collections.abc import Generator, Iterator
from pathlib import Path
from time import sleep

import pytest
from pydicom.uid import generate_uid

from leadglass.doors.pages.upload.intake import MOST_ZIPS_OF_ONE
from tests.corpus import CORPUS, read_manifest
from tests.doors.pages.browser import records
from tests.doors.pages.upload.sending import JSON, Sender, file_of, results, zipped
from tests.peers.web import Web
from tests.vault.sets import instance


@pytest.fixture(scope="module")
def sender(web: Web) -> Generator[Sender]:
    made = Sender(web, "sender")
    yield made
    made.client.close()


def test_each_file_is_answered_with_what_became_of_it(sender: Sender) -> None:
    one = file_of(StudyInstanceUID="1.2.77.1")
    other = file_of(StudyInstanceUID="1.2.77.1", SOPInstanceUID="1.2.77.1.1.5")
    twisted = file_of(StudyInstanceUID="1.2.77.1", SOPInstanceUID="1.2.77.1.1.5", StudyID="S2")
    sent = sender.send(
        ("a.dcm", one), ("b", other), ("a again", one), ("twisted", twisted), ("x.txt", b"hello"), ("", b"")
    )
    assert [each["became"] for each in sent] == ["stored", "stored", "already_here", "kept_aside", "refused"]
    assert sent[0]["study"] == "1.2.77.1"
    assert sent[0]["octets"] > 100
    assert "first difference at StudyID" in sent[3]["reason"]
    assert "not a DICOM file" in sent[4]["reason"]


def test_one_file_is_a_body_of_its_own_too(sender: Sender) -> None:
    data = file_of()
    for media_type in ("application/dicom", "application/octet-stream"):
        [became] = results(sender.post(data, media_type))
        assert became["became"] in {"stored", "already_here"}
    answer = sender.post(data, "image/png")
    assert answer.status_code == 415


def test_what_is_sent_comes_back_bit_for_bit(sender: Sender) -> None:
    data = file_of(StudyInstanceUID="1.2.77.2", SeriesInstanceUID="1.2.77.2.1", SOPInstanceUID="1.2.77.2.1.1")
    sender.send(("a", data))
    answer = sender.client.get(
        "/dicom-web/studies/1.2.77.2/series/1.2.77.2.1/instances/1.2.77.2.1.1",
        headers={**JSON, "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'},
    )
    assert instance_of(data) in answer.content


def instance_of(data: bytes) -> bytes:
    length = struct.unpack_from("<I", data, 140)[0]
    return data[144 + length :]


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
@pytest.mark.parametrize("kind", ["real", "malformed"])
def test_files_of_the_corpus_are_taken_or_refused_with_a_reason(sender: Sender, kind: str) -> None:
    some = [each for each in read_manifest(CORPUS) if each.kind == kind and each.path.stat().st_size < 600_000][:60]
    sent = sender.send(*((each.path.name, each.path.read_bytes()) for each in some))
    for each, became in zip(some, sent, strict=True):
        taken = became["became"] in {"stored", "already_here", "kept_aside"}
        assert taken or became.get("reason"), each.name
        assert not (each.must_be_refused and taken), each.name
        assert taken or not each.must_be_kept, (each.name, became)
        if kind == "real" and each.study_uid and each.sop_instance_uid and not each.is_directory:
            assert taken, (each.name, became)


def test_the_form_works_without_scripts(sender: Sender) -> None:
    answer = sender.form(
        ("fine.dcm", file_of()), ("<script>alert(1)</script>.dcm", b"no"), ("a.zip", zipped(("m", file_of())))
    )
    assert answer.status_code == 200
    assert "text/html" in answer.headers["Content-Type"]
    assert "stored" in answer.text
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


def test_a_form_without_a_chosen_file_says_what_to_do(sender: Sender) -> None:
    answer = sender.form(("", b""))
    assert answer.status_code == 400
    assert "Choose one or more files first" in answer.text


def test_a_form_of_another_page_stores_nothing(sender: Sender, web: Web) -> None:
    data = file_of(StudyInstanceUID="1.2.77.3")
    for parts, site in (
        ([("file", ("a", data))], "same-origin"),
        ([("csrf", (None, "x" * 43)), ("file", ("a", data))], "same-origin"),
        ([("file", ("a", data)), ("csrf", (None, sender.csrf))], "same-origin"),
        ([("csrf", (None, sender.csrf)), ("file", ("a", data))], "cross-site"),
    ):
        answer = sender.client.post("/upload/files", files=parts, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403
    assert not [each for each in records(web, "store") if each.study_uid == "1.2.77.3"]


@pytest.mark.parametrize("role", ["referrer", "researcher", "auditor", "admin"])
def test_who_may_not_store_sends_nothing(web: Web, role: str) -> None:
    sender = Sender(web, f"no-{role}", role)
    assert sender.client.get("/upload", headers={"Sec-Fetch-Site": "none"}).status_code == 403
    fields = {**JSON, "x-leadglass-csrf": _csrf(sender)}
    answer = sender.client.post("/upload/files", files=[("file", ("a", file_of()))], headers=fields)
    assert answer.status_code == 403
    known = sender.client.post("/upload/known", json={"files": []}, headers=fields)
    assert known.status_code == 403
    sender.client.close()


def _csrf(sender: Sender) -> str:
    sender.browser.get("/account")
    return sender.browser.csrf


# --- ZIPs ---------------------------------------------------------------------------


def test_a_zip_is_unpacked_and_what_did_not_go_in_is_named(sender: Sender) -> None:
    [became] = sender.send(
        (
            "cd.zip",
            zipped(
                ("IMAGES/1", file_of(StudyInstanceUID="1.2.77.4")),
                ("IMAGES/2", file_of(StudyInstanceUID="1.2.77.4")),
                ("viewer.exe", b"MZ" + bytes(500)),
                ("DICOMDIR", b"x"),
                (".DS_Store", b"x"),
                ("../../etc/cron.d/evil", file_of(StudyInstanceUID="1.2.77.4")),
            ),
        )
    )
    assert became["counts"] == {"stored": 2, "refused": 1, "skipped": 3}
    assert became["studies"] == ["1.2.77.4"]
    assert {each["name"] for each in became["not_taken"]} == {
        "cd.zip!../../etc/cron.d/evil",
        "cd.zip!viewer.exe",
        "cd.zip!DICOMDIR",
        "cd.zip!.DS_Store",
    }


@pytest.mark.parametrize("name", ["a bomb", "overlapping", "cut off", "nested", "not one"])
def test_a_hostile_zip_takes_nothing_down(sender: Sender, name: str) -> None:
    bomb = zipped(("1", file_of()[:400] + bytes(80 << 20)))
    made = {
        "a bomb": bomb,
        "overlapping": _overlapping(),
        "cut off": zipped(("1", file_of()))[:-30],
        "nested": zipped(("in.zip", zipped(("1", file_of())))),
        "not one": b"PK\x03\x04" + bytes(1000),
    }[name]
    [became, after] = sender.send((f"{name}.zip", made), ("fine", file_of()))
    assert "stored" not in became.get("counts", {})
    assert all(each["reason"] for each in became["not_taken"])
    assert after["became"] == "stored"


def _overlapping() -> bytes:
    """Let every entry of the directory point at one member."""
    whole = zipped(("1", file_of()), ("2", file_of()), ("3", file_of()), compression=zipfile.ZIP_STORED)
    end = whole.rindex(b"PK\x05\x06")
    start = struct.unpack_from("<I", whole, end + 16)[0]
    directory = whole[start:end]
    entry = directory[: 46 + 1]
    many = entry * 600
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 600, 600, len(many), start, 0)
    return whole[:start] + many + tail


def test_nothing_of_a_zip_stays_on_the_disk(sender: Sender, web: Web) -> None:
    folder = Path(web.leadglass.data)
    before = {each for each in folder.rglob("*") if each.is_file()}
    sender.send(
        ("a.zip", zipped(*((f"{n}.txt", b"no image" * 40_000) for n in range(5)), compression=zipfile.ZIP_STORED))
    )
    after = {each for each in folder.rglob("*") if each.is_file()}
    assert not {each for each in after - before if "objects" in each.parts and each.stat().st_size}


def test_so_many_zips_lie_open_and_the_rest_is_to_be_sent_again(sender: Sender) -> None:
    """Each holds a file open until all were received: some thousand in one request would leave none for anybody."""
    some = zipped(("viewer.exe", bytes(70 << 10)), compression=zipfile.ZIP_STORED)
    became = sender.send(*((f"{number}.zip", some) for number in range(MOST_ZIPS_OF_ONE + 4)))
    assert [each["became"] for each in became] == ["unpacked"] * MOST_ZIPS_OF_ONE + ["refused"] * 4
    assert all("Too many ZIPs" in each["reason"] and each["again"] for each in became[MOST_ZIPS_OF_ONE:])
    [after] = sender.send(("after.zip", zipped(("1", file_of()))))
    assert after["counts"] == {"stored": 1}


def test_what_is_on_its_way_when_the_session_ends_is_not_taken(web: Web) -> None:
    """Somebody who was locked out would go on for as long as one request lasts."""
    sender = Sender(web, "sends.slowly")
    uid = str(generate_uid())
    data = file_of(SOPInstanceUID=uid)

    def slowly() -> Iterator[bytes]:
        yield data[:200]
        web.leadglass.do("user", "lock", sender.name)
        sleep(0.6)
        yield data[200:300]
        yield data[300:]

    fields = {**JSON, "Content-Type": "application/dicom", "x-leadglass-csrf": sender.csrf}
    headers = {**fields, "Content-Length": str(len(data))}
    with sender.browser:
        answer = sender.client.post("/upload/files", content=slowly(), headers=headers)
    assert answer.status_code == 401
    assert "Sign in again" in answer.text
    with web.client(web.token("service", name="looks.for.it")) as client:
        assert client.get("/dicom-web/instances", params={"SOPInstanceUID": uid}).json() == []


# --- what need not be sent again --------------------------------------------------------


def known(sender: Sender, *marks: tuple[str, bytes]) -> list[bool]:
    files = [{"uid": uid, "sha256": hashlib.sha256(data).hexdigest()} for uid, data in marks]
    fields = {**JSON, "x-leadglass-csrf": sender.csrf}
    answer = sender.client.post("/upload/known", json={"files": files}, headers=fields)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["known"])


def test_what_is_stored_is_known_by_its_content_alone(sender: Sender) -> None:
    data = file_of(SOPInstanceUID="1.2.77.5.1", StudyInstanceUID="1.2.77.5")
    whole = instance_of(data)
    assert known(sender, ("1.2.77.5.1", whole)) == [False]
    sender.send(("a", data))
    other = instance(SOPInstanceUID="1.2.77.5.1", StudyInstanceUID="1.2.77.5", StudyID="S2")
    assert known(sender, ("1.2.77.5.1", whole), ("1.2.77.5.1", other), ("1.2.77.5.2", whole)) == [True, False, False]


def test_it_tells_nothing_of_what_is_outside_of_ones_scope(sender: Sender, web: Web) -> None:
    data = file_of(SOPInstanceUID="1.2.77.6.1", StudyInstanceUID="1.2.77.6")
    sender.send(("a", data))
    narrow = Sender(web, "narrow-sender", "technologist", "study=1.2.9")
    assert known(narrow, ("1.2.77.6.1", instance_of(data))) == [False]
    narrow.client.close()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b'{"files": 1}', b'{"files": [{"uid": "1.2"}]}', b"{" * 5_000,
        b'{"files": [{"uid": "../x", "sha256": "' + b"0" * 64 + b'"}]}',
        b'{"files": [' + b",".join([b'{"uid": "1.2", "sha256": "' + b"0" * 64 + b'"}'] * 201) + b"]}",
    ],
)  # fmt: skip
def test_a_question_that_is_none_is_refused(sender: Sender, body: bytes) -> None:
    fields = {**JSON, "x-leadglass-csrf": sender.csrf, "Content-Type": "application/json"}
    assert sender.client.post("/upload/known", content=body, headers=fields).status_code == 400


# --- bodies that are none ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"--x\r\n\r\n"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc',
        ),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"A: " + b"x" * 20_000 + b"\r\n\r\nabc\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nA: b\r\n\r\n\r\n" * 20_001 + b"--b--\r\n"),
    ],
)
def test_a_body_that_cannot_be_taken_apart_is_refused_with_what_to_do(
    sender: Sender, media_type: str, body: bytes
) -> None:
    answer = sender.post(body, media_type)
    assert answer.status_code == 400
    assert "Send it again" in answer.text


@pytest.mark.parametrize(
    "name", ["a\u202efdp.dcm", "Ünïcödé 放射線.dcm", "x" * 3_000, 'q"uote.dcm', "..\\..\\a", "<b>&amp;"]
)
def test_a_name_is_shown_as_it_is_and_turns_nothing_around(sender: Sender, name: str) -> None:
    [became] = sender.send((name, b"no"))
    assert "\u202e" not in became["name"]
    assert len(became["name"]) <= 200
