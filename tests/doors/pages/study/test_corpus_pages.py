"""Every instance of the corpus has a page that says something, whatever it is and whoever made it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from leadglass.archive.backroom import Selection
from leadglass.dicom.levels import Level
from leadglass.doors.pages.study import reading
from leadglass.doors.pages.study.asking import find
from leadglass.doors.pages.study.kinds import Kind, kind_of
from leadglass.errors import LeadglassError
from leadglass.policy.action import Action
from tests.callers import unbraked
from tests.corpus import read_manifest
from tests.doors.dicomweb.wadohouse import Got
from tests.doors.pages.study.pageshouse import PagesHouse, main_of, pages
from tests.flows.corpus_rounds import rounds
from tests.peers.dataset import split, transfer_syntax

Stored = list[tuple[PagesHouse, list[tuple[str, str, str, str]]]]
"""Houses, and of each what it holds: path of the page, class, transfer syntax, name of the file."""


@pytest.fixture(scope="module")
def stored(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    with ExitStack() as stack:
        houses: Stored = []
        for number, held in enumerate(rounds(corpus)):
            house = stack.enter_context(pages(tmp_path_factory.mktemp(f"pages{number}")))
            house.caller = unbraked(house.caller)
            kept: list[tuple[str, str, str, str]] = []
            for entry in held:
                instance = entry.instance
                try:
                    house.house.store(instance.data, instance.transfer_syntax_uid)
                except LeadglassError:
                    continue  # what is refused at the door is another test's
                path = f"{entry.study_uid}/{entry.series_uid}/{instance.sop_instance_uid}"
                kept.append((path, instance.sop_class_uid, instance.transfer_syntax_uid, entry.file.name))
            houses.append((house, kept))
        yield houses


def _says_something(got: Got, name: str) -> None:
    assert got.status == 200, name
    said = main_of(got)
    assert len(said) > 60, (name, said)
    assert "Traceback" not in said


def test_every_instance_is_shown_as_what_it_is(stored: Stored) -> None:
    kinds: set[Kind] = set()
    for house, held in stored:
        for path, sop_class, syntax, name in held:
            kinds.add(kind_of(sop_class, syntax))
            got = house.get(f"/look/{path}")
            if got.status == 303:
                assert got.headers["location"] == f"/documents/{path}", name
                got = house.get(got.headers["location"])
            else:
                assert b'id="picture"' in got.body, name
            _says_something(got, name)
    assert kinds == set(Kind)


def test_every_instance_has_its_attributes_and_every_study_its_page(stored: Stored) -> None:
    seen: set[tuple[str, str]] = set()
    for house, held in stored:
        for study_uid in {path.split("/")[0] for path, *_ in held}:
            _says_something(house.get(f"/studies/{study_uid}"), study_uid)
        for path, sop_class, syntax, name in held:
            if (sop_class, syntax) in seen:
                continue  # one of each kind; all of them take long
            seen.add((sop_class, syntax))
            study, series, instance = path.split("/")
            got = house.get(f"/studies/{study}/series/{series}/instances/{instance}")
            _says_something(got, name)
            assert instance in main_of(got), name


def test_a_video_is_given_whole_or_in_parts_as_browsers_ask(stored: Stored) -> None:
    seen = 0
    for house, held in stored:
        for path, sop_class, syntax, name in held:
            if kind_of(sop_class, syntax) is not Kind.VIDEO or seen > 4:
                continue
            whole = house.get(f"/documents/{path}/video", "*/*")
            assert (whole.status, whole.headers["accept-ranges"]) == (200, "bytes"), name
            assert whole.media.startswith(("video/", "application/octet-stream"))
            assert "sandbox" in whole.headers["content-security-policy"]
            part = house.get(f"/documents/{path}/video", "*/*", range="bytes=5-104")
            assert (part.status, part.body) == (206, whole.body[5:105]), name
            assert part.headers["content-range"] == f"bytes 5-104/{len(whole.body)}"
            assert house.get(f"/documents/{path}/video", "*/*", range=f"bytes={len(whole.body)}-").status == 416
            tail = house.get(f"/documents/{path}/video", "*/*", range="bytes=-10")
            assert tail.body == whole.body[-10:], name
            seen += 1
    assert seen


def test_what_is_malformed_and_was_kept_has_a_page_too(corpus: Path, tmp_path: Path) -> None:
    seen = 0
    with pages(tmp_path) as house:
        house.caller = unbraked(house.caller)
        for file in read_manifest(corpus):
            if not file.is_malformed or file.path.stat().st_size > 4 << 20:
                continue
            try:
                meta, data = split(file.path.read_bytes())
                house.house.store(data, transfer_syntax(meta))
            except (LeadglassError, ValueError, IndexError, KeyError):
                continue
        for match in _instances(house):
            study, series, instance = match
            got = house.get(f"/look/{study}/{series}/{instance}")
            if got.status == 303:
                got = house.get(got.headers["location"])
            _says_something(got, instance)
            _says_something(house.get(f"/documents/{study}/{series}/{instance}"), instance)
            _says_something(house.get(f"/studies/{study}/series/{series}/instances/{instance}"), instance)
            seen += 1
    assert seen > 20


def _instances(house: PagesHouse) -> Iterator[tuple[str, str, str]]:
    for study in find(house.archive, house.caller, Level.STUDY, "limit=5000").matches:
        uid = reading.first(study, "StudyInstanceUID")
        found = house.archive.retrieve(house.caller, Action.GET, Level.STUDY, Selection(study_uids=(uid,)))
        for record in found.records:
            yield record.study_uid, record.series_uid, record.sop_instance_uid
