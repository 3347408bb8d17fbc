"""The whole corpus through the web door of a running archive: in by STOW, found by QIDO, back by WADO, drawn.

Rule: everything goes over HTTPS with a token. Bulk data and every codec are
in ``tests/doors/dicomweb/test_wado_corpus.py``, pictures pixel by pixel in
``tests/dicom/test_render_corpus.py``.
"""

import hashlib
import io
import json
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import config
from pydicom.tag import Tag

from leadglass.dicom import uids
from tests.corpus import CORPUS, CorpusFile
from tests.dicom.differences import JSON_DIFFERS, differences, pydicom_json
from tests.dicom.sets import as_pydicom
from tests.flows.corpus_rounds import Entry, entries, rounds
from tests.peers.dataset import split
from tests.peers.web import Web, serving

pytestmark = [pytest.mark.corpus, pytest.mark.timeout(900)]

ROUNDS = range(len(rounds(CORPUS))) if (CORPUS / "MANIFEST.csv").is_file() else range(1)
"""Which rounds there are; without a corpus one, which skips."""
BATCH = 100
AS_STORED = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
LOSSY = frozenset({uids.JPEG_BASELINE, uids.JPEG_EXTENDED})
CONTRADICTS = 0x0111
UNBRAKED = """
[brakes.tokens]
queries_per_minute = 100_000
studies_per_hour = 100_000
studies_per_day = 100_000
listed_per_hour = 100_000
listed_per_day = 100_000
"""
"""Who lists and fetches a whole archive within a minute has to have been allowed to."""
PIXELS = frozenset({"7FE00008", "7FE00009", "7FE00010"})


@dataclass(frozen=True, slots=True)
class House:
    """A running archive, and a program and a technologist who ask it."""

    web: Web
    client: httpx.Client


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Iterator[House]:
    private = sorted(
        {
            one.instance.sop_class_uid
            for one in entries(corpus)
            if not one.missing and not one.instance.sop_class_uid.startswith("1.2.840.10008.")
        }
    )
    settings = f"[ingest]\nprivate_sop_classes = {json.dumps(private)}\n{UNBRAKED}"
    with (
        serving(tmp_path_factory.mktemp("corpus"), settings=settings) as web,
        web.client(web.token("technologist")) as client,
    ):
        yield House(web, client)


@pytest.fixture(autouse=True)
def lenient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def store(house: House, files: Iterable[CorpusFile]) -> tuple[int, dict[str, Any]]:
    """Store files in one request, as they are; gives the status and the response module."""

    def body() -> Iterator[bytes]:
        for file in files:
            yield b"--a-boundary\r\nContent-Type: application/dicom\r\n\r\n"
            yield file.path.read_bytes()
            yield b"\r\n"
        yield b"--a-boundary--\r\n"

    kind = 'multipart/related; type="application/dicom"; boundary=a-boundary'
    answer = house.client.post("/dicom-web/studies", content=body(), headers={"Content-Type": kind})
    return answer.status_code, cast("dict[str, Any]", answer.json())


def items(module: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", module.get(tag, {}).get("Value", []))


def path_of(entry: Entry) -> str:
    uid = entry.instance.sop_instance_uid
    return f"/dicom-web/studies/{entry.study_uid}/series/{entry.series_uid}/instances/{uid}"


def parts_of(answer: httpx.Response) -> list[bytes]:
    """Take a multipart answer apart, by other code than ours."""
    assert answer.status_code == 200, answer.text[:300]
    said = Message()
    said["content-type"] = answer.headers["content-type"]
    pieces = (b"\r\n" + answer.content).split(f"\r\n--{said.get_param('boundary')}".encode())
    assert pieces[-1] == b"--\r\n"
    return [piece.partition(b"\r\n\r\n")[2] for piece in pieces[1:-1]]


def test_a_file_without_its_uids_is_refused_and_the_others_are_not(house: House, corpus: Path) -> None:
    nameless = [one.file for one in entries(corpus) if one.missing]
    assert len(nameless) == 29
    status, module = store(house, nameless)
    assert (status, items(module, "00081199")) == (409, [])
    failed = items(module, "00081198") + items(module, "0008119A")
    assert [item["00081197"]["Value"] for item in failed] == [[0xC000]] * len(nameless)
    named = next(one.file for one in rounds(corpus)[0])
    status, module = store(house, [*nameless[:3], named])
    assert (status, len(items(module, "00081199"))) == (202, 1)


@pytest.mark.parametrize("number", ROUNDS)
def test_what_goes_in_is_found_given_back_and_drawn(house: House, corpus: Path, number: int) -> None:
    load = rounds(corpus)[number]
    try:
        assert wrongly_stored(house, load) == {}
        assert wrongly_found(house, load) == []
        assert wrongly_given(house, load) == []
        assert wrongly_described(house, load) == {}
        assert wrongly_decoded(house, load) == {}
        assert wrongly_drawn(house, load) == {}
    finally:
        every = house.client.get("/dicom-web/studies")
        assert every.status_code == 200, every.text
        for study in [one["0020000D"]["Value"][0] for one in every.json()]:
            assert house.client.delete(f"/dicom-web/studies/{study}").status_code == 204


def wrongly_stored(house: House, load: Sequence[Entry]) -> dict[str, str]:
    """Store all, many in one request."""
    wrong: dict[str, str] = {}
    for start in range(0, len(load), BATCH):
        batch = load[start : start + BATCH]
        _, module = store(house, [one.file for one in batch])
        stored = [item["00081155"]["Value"][0] for item in items(module, "00081199")]
        wrong |= {
            one.file.name: str(items(module, "00081198"))
            for one in batch
            if one.instance.sop_instance_uid not in stored
        }
    return wrong


def wrongly_found(house: House, load: Iterable[Entry]) -> list[str]:
    """Ask for each by its own UID at each level, and in the whole."""
    wrong: list[str] = []
    levels = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}
    for level, tag in levels.items():
        wanted = {_uid_at(level, one): one for one in load}
        for uid, one in wanted.items():
            answer = house.client.get(f"/dicom-web/{level}", params={tag: uid})
            found = _values(answer, tag), _values(answer, "0020000D")
            if found != ([uid], [one.study_uid]):
                wrong.append(f"{one.file.name}: {level} {answer.status_code}")
        every = house.client.get(f"/dicom-web/{level}", params={"limit": 5000})
        assert set(_values(every, tag)) == wanted.keys()
    return wrong


def _uid_at(level: str, one: Entry) -> str:
    match level:
        case "studies":
            return one.study_uid
        case "series":
            return one.series_uid
        case _:
            return one.instance.sop_instance_uid


def _values(answer: httpx.Response, tag: str) -> list[str]:
    """Give a UID of each answer of a search."""
    return [str(each[tag]["Value"][0]) for each in answer.json()] if answer.status_code == 200 else []


def by_study(load: Iterable[Entry]) -> dict[str, list[Entry]]:
    studies: dict[str, list[Entry]] = defaultdict(list)
    for one in load:
        studies[one.study_uid].append(one)
    return studies


def three_of_a_series(load: Iterable[Entry]) -> Iterator[Entry]:
    seen: dict[str, int] = defaultdict(int)
    for one in load:
        seen[one.series_uid] += 1
        if seen[one.series_uid] <= 3:
            yield one


def wrongly_given(house: House, load: Iterable[Entry]) -> list[str]:
    """Fetch each study as it is stored: the same data sets, byte for byte."""
    wrong: list[str] = []
    for study, held in by_study(load).items():
        parts = parts_of(house.client.get(f"/dicom-web/studies/{study}", headers=AS_STORED))
        given = {hashlib.sha256(split(part)[1]).digest() for part in parts}
        wrong += [one.file.name for one in held if hashlib.sha256(one.instance.data).digest() not in given]
        assert len(parts) == len(held)
    return wrong


def wrongly_described(house: House, load: Iterable[Entry]) -> dict[str, list[str]]:
    """Compare the metadata of each study with pydicom's own of each file, of a long series of three."""
    some = {one.instance.sop_instance_uid for one in three_of_a_series(load)}
    wrong: dict[str, list[str]] = {}
    for study, held in by_study(load).items():
        metadata = house.client.get(f"/dicom-web/studies/{study}/metadata").json()
        ours = {one["00080018"]["Value"][0]: one for one in metadata}
        assert len(ours) == len(held)
        for one in held:
            if one.instance.sop_instance_uid not in some:
                continue
            read = as_pydicom(one.instance.data, one.instance.transfer_syntax_uid)
            for tag in PIXELS:
                read.pop(Tag(tag), None)
            try:
                theirs = pydicom_json(read)
            except Exception:  # noqa: BLE001, S112 - what pydicom cannot convert cannot be compared
                continue
            mine = {tag: each for tag, each in ours[one.instance.sop_instance_uid].items() if tag not in PIXELS}
            found = differences(mine, theirs)
            if found and one.file.name not in JSON_DIFFERS:
                wrong[one.file.name] = found[:3]
    return wrong


def wrongly_decoded(house: House, load: Iterable[Entry]) -> dict[str, str]:
    """Compare the frames of JPEG with pydicom's, between which two roundings may be."""
    wrong: dict[str, str] = {}
    for one in load:
        if one.instance.transfer_syntax_uid not in LOSSY or not one.file.pixel_sha256:
            continue
        try:
            theirs = cast("Any", as_pydicom(one.instance.data, one.instance.transfer_syntax_uid)).pixel_array
        except RuntimeError:
            continue  # of 12 bits, which Pillow does not decode for it
        theirs = theirs.reshape(one.file.frames, -1)
        listed = ",".join(str(frame) for frame in range(1, one.file.frames + 1))
        frames = parts_of(house.client.get(f"{path_of(one)}/frames/{listed}"))
        for frame, expected in zip(frames, theirs, strict=True):
            ours = np.frombuffer(frame, theirs.dtype)[: expected.size].astype(int)
            apart = np.abs(ours - expected).max() if ours.size == expected.size else -1
            if not 0 <= apart <= 2:
                wrong[one.file.name] = f"{apart} apart"
    return wrong


def wrongly_drawn(house: House, load: Iterable[Entry]) -> dict[str, str]:
    """Ask for the picture of each, of a long series for three; what has none says why."""
    wrong: dict[str, str] = {}
    for one in three_of_a_series(load):
        answer = house.client.get(f"{path_of(one)}/rendered", headers={"Accept": "image/png"})
        match answer.status_code:
            case 200:
                with Image.open(io.BytesIO(answer.content)) as picture:
                    picture.load()
            case 406:
                assert len(str(answer.json()["detail"])) > 20
            case _:
                wrong[one.file.name] = f"{answer.status_code} {answer.text[:200]}"
    return wrong


def test_malformed_files_are_refused_clearly_and_nothing_stays_by_halves(
    house: House, manifest: tuple[CorpusFile, ...]
) -> None:
    kept: list[str] = []
    lost: dict[str, str] = {}
    unclear: dict[str, str] = {}
    stored: list[tuple[CorpusFile, str]] = []
    contradicting = 0
    for file in manifest:
        if not file.is_malformed:
            continue
        status, module = store(house, [file])
        held = items(module, "00081199")
        if held:  # with a warning, or without
            stored.append((file, held[0]["00081190"]["Value"][0]))
            if file.must_be_refused:
                kept.append(file.name)
            continue
        failed = items(module, "00081198") + items(module, "0008119A")
        reasons = [item["00081197"]["Value"][0] for item in failed]
        if status != 409 or len(reasons) != 1:
            unclear[file.name] = f"{status} {module}"
        contradicting += reasons == [CONTRADICTS]
        if file.must_be_kept and reasons != [CONTRADICTS]:
            lost[file.name] = f"{status} {module}"
    assert kept == []
    assert lost == {}
    assert unclear == {}
    assert len(stored) > 50

    for file, url in stored:
        for what, accept, statuses in (
            ("", "application/dicom; transfer-syntax=*", {200}),
            ("", "application/dicom", {200}),
            ("/metadata", "*/*", {200}),
            ("/frames/1", "*/*", {200, 404, 406}),
            ("/rendered", "*/*", {200, 404, 406}),
        ):
            answer = house.client.get(f"{url}{what}", headers={"Accept": accept})
            if answer.status_code not in statuses:
                unclear[f"{file.name}{what}"] = f"{answer.status_code} {answer.text[:200]}"
    assert unclear == {}
    found = house.client.get("/dicom-web/instances", params={"limit": 5000}).json()
    held = [
        path for path in (house.web.leadglass.data / "objects").rglob("*") if path.is_file() and len(path.name) == 32
    ]
    assert len(found) == len({url for _, url in stored})
    assert len(held) == len(found) + contradicting, "what contradicts is kept aside"
    assert house.web.leadglass.cli("fsck").code == 0
    assert "Traceback" not in house.web.leadglass.log.read_text()
