"""Lists of studies: orders, positions, words; that no page costs a scan, and that nobody learns what is not theirs."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.archive.lists import Order, Page, Position
from leadglass.dicom import fuzzy, tags
from leadglass.dicom.keys import Fuzzy, Key, Name, Range, Single, Universal
from leadglass.dicom.levels import Level, Root
from leadglass.dicom.matching import NO_MATCH, Query
from leadglass.dicom.words import Words
from leadglass.errors import BadInput, Unsupported
from leadglass.policy.action import Action
from leadglass.policy.permit import Permit
from leadglass.policy.scope import Field, Scope
from leadglass.vault import browsing
from leadglass.vault.vault import Vault
from tests.callers import permit
from tests.vault.sets import instance, opened, store
from tests.vault.test_find import FIND
from tests.vault.test_plans import Plans

TEXTS = frozenset({tags.PatientName, tags.StudyDescription})
NUMBERS = frozenset({tags.PatientID, tags.AccessionNumber, tags.StudyInstanceUID})
NAMES = ["Doe^Jane", "Müller^Anna Maria", "O'Brien^Pat", "Yamada^Tarou=山田^太郎=やまだ^たろう", "", "doe^john"]
WHAT = ["CT Thorax mit KM", "MR Schädel", "Thorax p.a.", "", "Knie/Fuß rechts"]
DATES = ["20260101", "20251231", "2025.06.30", None, "19991231", "20260101"]
IDS = ["4711", "P-0815", "", "4712", "p-0816"]


def asking(*words: Words, **keys: Key) -> Query:
    asked: dict[str, Key] = {
        tags.key(tag): Universal()
        for tag in (tags.StudyInstanceUID, tags.PatientName, tags.PatientID, tags.StudyDate, tags.StudyDescription)
    }
    asked |= {tags.key(getattr(tags, keyword)): key for keyword, key in keys.items()}
    return Query(Level.STUDY, Root.STUDY, asked, words=words)


def anything(text: str) -> Words:
    return Words(text, TEXTS, NUMBERS)


def page(
    vault: Vault, query: Query, wanted: Page | None = None, may: Permit = FIND
) -> tuple[list[str], browsing.Browsed]:
    sheet = vault.browse(may, query, wanted or Page(1_000))
    assert isinstance(sheet, browsing.Browsed)
    rows = [match[tags.key(tags.StudyInstanceUID)].get("Value", [""])[0] for match in sheet if match != NO_MATCH]
    return rows, sheet


def pages(
    vault: Vault, query: Query, order: Order, size: int, *, is_turned: bool = False, may: Permit = FIND,
    between: Callable[[], None] = lambda: None,
) -> list[str]:  # fmt: skip
    """Join all pages."""
    joined: list[str] = []
    after: Position = ()
    while True:
        rows, sheet = page(vault, query, Page(size, order, is_turned, after), may)
        joined += rows
        if not sheet.remaining:
            return joined
        assert len(rows) == size
        after = sheet.last
        between()


def fill(vault: Vault, count: int, seed: int = 5, *, first: int = 0) -> None:
    chance = random.Random(seed)
    for number in range(first, first + count):
        for series in range(1 + number % 2):
            uid = f"1.{number % 7}.{number}"
            store(
                vault,
                instance(
                    StudyInstanceUID=uid,
                    SeriesInstanceUID=f"{uid}.{series}",
                    Modality=chance.choice(["CT", "MR", "SR"]),
                    PatientName=NAMES[number % len(NAMES)],
                    PatientID=IDS[number % len(IDS)],
                    StudyDate=DATES[number % len(DATES)],
                    StudyTime=chance.choice(["101500", "2300", None]),
                    StudyDescription=WHAT[number % len(WHAT)],
                    AccessionNumber=f"A-{number:03}",
                ),
                origin=f"CT{number % 3}",
            )


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """Forty studies with every kind of name, number, date and description."""
    folder: Path = tmp_path_factory.mktemp("some")
    with opened(folder) as vault:
        fill(vault, 40)
        yield vault


@pytest.fixture(params=["few", "near", "walked", "gathered"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have forty studies be found each of the ways in which a million are."""
    if request.param == "near":
        monkeypatch.setattr(browsing, "SORTED", 2)
        monkeypatch.setattr(browsing, "FURTHER", 1)
    elif request.param != "few":
        monkeypatch.setattr(browsing, "FEW", 3)
        monkeypatch.setattr(browsing, "GATHERED", 6)
    monkeypatch.setattr(browsing, "STRETCH", {"walked": 30, "gathered": 2}.get(request.param, 5_000))
    return str(request.param)


def rows_of(vault: Vault) -> dict[str, dict[str, Any]]:
    """Give what is stored, as the judge sees it."""
    query = asking(ModalitiesInStudy=Universal(), AccessionNumber=Universal(), StudyTime=Universal())
    found: dict[str, dict[str, Any]] = {}
    for match in vault.find(FIND, query):
        if match:
            found[match[tags.key(tags.StudyInstanceUID)].get("Value", [""])[0]] = dict(match)
    return found


QUESTIONS = {
    "all": asking(),
    "a part of a name": asking(anything("jan")),
    "parts in any order": asking(Words("anna MUELLER".replace("UE", "Ü"), frozenset({tags.PatientName}))),
    "two of a middle name": asking(Words("mar mul", frozenset({tags.PatientName}))),
    "a name in its own script": asking(anything("山田")),
    "a name with an apostrophe": asking(anything("obrien")),
    "a description": asking(Words("thor", frozenset({tags.StudyDescription}))),
    "words of name and description": asking(anything("thor"), anything("doe")),
    "a number": asking(Words("P-08", frozenset(), frozenset({tags.PatientID}))),
    "an accession number": asking(anything("a-01")),
    "a UID": asking(anything("1.3.")),
    "a modality": asking(ModalitiesInStudy=Single(("SR",))),
    "a modality and a name": asking(anything("doe"), ModalitiesInStudy=Single(("CT", "MR"))),
    "a day": asking(StudyDate=Range("DA", "20260101", "20260101")),
    "since a day, with a word": asking(anything("anna"), StudyDate=Range("DA", "20250101", "")),
    "until a day": asking(StudyDate=Range("DA", "", "20251231")),
    "nothing": asking(anything("zzz")),
    "no words at all": asking(anything("...")),
}


@pytest.mark.parametrize("order", [Order.DATE, Order.PATIENT, Order.PATIENT_ID, Order.RECEIVED])
@pytest.mark.parametrize("asked", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_joined_pages_give_each_match_once_and_in_order_either_way(
    some: Vault, way: str, asked: Query, order: Order
) -> None:
    wanted = {uid for uid, row in rows_of(some).items() if asked.matches(row)}
    whole = pages(some, asked, order, 1_000)
    assert set(whole) == wanted
    assert len(whole) == len(wanted)
    assert pages(some, asked, order, 7) == whole
    assert pages(some, asked, order, 7, is_turned=True) == whole[::-1]


def test_the_orders_are_what_they_say(some: Vault) -> None:
    rows = rows_of(some)

    def name(uid: str) -> str:
        held = rows[uid][tags.key(tags.PatientName)].get("Value", [""])[0]
        return " ".join(fuzzy.words(str(held["Alphabetic"]))) if held else ""

    by_name = pages(some, asking(), Order.PATIENT, 1_000)
    assert [name(uid) for uid in by_name] == sorted(map(name, by_name))
    dates = [rows[uid][tags.key(tags.StudyDate)].get("Value", [""])[0] for uid in pages(some, asking(), Order.DATE, 99)]
    days = [(each or "").replace(".", "") for each in dates]
    assert days == sorted(days, reverse=True)
    received = pages(some, asking(), Order.RECEIVED, 1_000)
    assert [int(uid.rpartition(".")[2]) for uid in received] == list(range(39, -1, -1))


@given(
    st.sampled_from(sorted(QUESTIONS)), st.sampled_from([Order.DATE, Order.PATIENT, Order.RECEIVED]), st.booleans(),
    st.integers(1, 6), st.integers(0, 2**16),
)  # fmt: skip
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_match_is_given_exactly_once_and_in_order_while_studies_arrive(
    tmp_path_factory: pytest.TempPathFactory, asked: str, order: Order, is_turned: bool, size: int, seed: int
) -> None:
    with opened(tmp_path_factory.mktemp("arriving")) as vault:
        fill(vault, 12, seed)
        query, arrived = QUESTIONS[asked], [100]
        there = pages(vault, query, order, 1_000, is_turned=is_turned)

        def arrive() -> None:
            if arrived[0] < 106:
                fill(vault, 1, seed + arrived[0], first=arrived[0])
                arrived[0] += 1

        joined = pages(vault, query, order, size, is_turned=is_turned, between=arrive)
        assert len(joined) == len(set(joined)), "nothing is given twice"
        assert [uid for uid in joined if uid in set(there)] == there, "what was there is given, in its order"
        in_order = pages(vault, query, order, 1_000, is_turned=is_turned)
        assert joined == [uid for uid in in_order if uid in set(joined)]


def test_what_follows_is_counted_exactly_where_few_match_and_bounded_where_many(
    some: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, sheet = page(some, asking(anything("doe")), Page(3))
    whole = len(pages(some, asking(anything("doe")), Order.DATE, 100))
    assert (sheet.remaining, sheet.is_counted) == (whole - 3, True)
    _, sheet = page(some, asking(), Page(3, counted=5))
    assert (sheet.remaining, sheet.is_counted) == (5, False)
    with monkeypatch.context() as near:
        near.setattr(browsing, "SORTED", 2)
        _, sheet = page(some, asking(anything("doe")), Page(3, counted=5))
        assert (sheet.remaining, sheet.is_counted) == (whole - 3, True), "all are known, and few of them were read"
    monkeypatch.setattr(browsing, "FEW", 9)
    monkeypatch.setattr(browsing, "GATHERED", 9)
    _, sheet = page(some, asking(anything("doe")), Page(3, counted=5))
    assert (sheet.remaining, sheet.is_counted) == (5, False)


def test_some_matches_may_be_passed_over(some: Vault) -> None:
    whole = pages(some, asking(), Order.PATIENT, 1_000)
    rows, _ = page(some, asking(), Page(5, Order.PATIENT, skipped=7))
    assert rows == whole[7:12]


def test_names_that_are_spelled_alike_are_found_where_that_is_asked(some: Vault) -> None:
    alike = asking(PatientName=Fuzzy((("muler",),)))
    assert pages(some, alike, Order.DATE, 100) == pages(some, asking(anything("muller")), Order.DATE, 100) != []
    assert pages(some, asking(anything("muler")), Order.DATE, 100) == []


def test_it_is_said_when_studies_were_received(some: Vault) -> None:
    rows, sheet = page(some, asking(), Page(5))
    assert set(sheet.received) == set(rows)
    assert all(moment.endswith("Z") for moment in sheet.received.values())


SCOPES = {
    "a source": Scope.where(Field.SOURCE, "CT1"),
    "patients": Scope.where(Field.PATIENT, "4711", "P-0815"),
    "patients without an issuer": Scope.patients("4711", "P-0815"),
    "studies": Scope.where(Field.STUDY, "1.0.0", "1.1.1", "1.5.5"),
    "a source, or a patient": Scope.where(Field.SOURCE, "CT2") | Scope.where(Field.PATIENT, "4712"),
}


@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES.keys())
def test_what_the_permit_does_not_cover_is_in_no_page_no_number_and_no_order(
    some: Vault, way: str, scope: Scope
) -> None:
    may = permit(Action.FIND, scope=scope)
    answers = [match for match in some.find(may, asking()) if match]
    covered = {match[tags.key(tags.StudyInstanceUID)].get("Value", [""])[0] for match in answers}
    for name in ("all", "a part of a name", "words of name and description", "a modality", "a day"):
        asked = QUESTIONS[name]
        for order in Order:
            whole = pages(some, asked, order, 1_000)
            assert pages(some, asked, order, 3, may=may) == [uid for uid in whole if uid in covered]


def test_a_study_that_is_deleted_is_not_found_by_its_words(vault: Vault) -> None:
    store(vault, instance(StudyInstanceUID="1.1", StudyDescription="Sonderfall"))
    vault.delete(permit(Action.DELETE), "1.1")
    assert page(vault, asking(anything("sonderfall")))[0] == []
    assert page(vault, asking())[0] == []


@pytest.mark.parametrize(
    "asked", [asking(AccessionNumber=Single(("1",))), asking(PatientName=Name((("Doe",),))), QUESTIONS["all"]]
)
def test_what_cannot_be_said_is_refused_and_never_left_out(some: Vault, asked: Query) -> None:
    if asked is QUESTIONS["all"]:
        asked = Query(Level.SERIES, Root.STUDY, asked.keys)
    with pytest.raises(Unsupported):
        page(some, asked)


@pytest.mark.parametrize("after", [("x",), (1, "1.1"), ("x", 1), ("a", "b", "c")])
def test_a_position_of_another_order_is_refused(some: Vault, after: Position) -> None:
    with pytest.raises(BadInput):
        page(some, asking(), Page(5, Order.DATE, after=after))


@given(st.text(max_size=60), st.sampled_from(list(Order)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_typed_is_looked_for_and_nothing_else(some: Vault, text: str, order: Order) -> None:
    asked = asking(anything(text.encode("utf-8", "ignore").decode()))
    wanted = {uid for uid, row in rows_of(some).items() if asked.matches(row)}
    assert set(pages(some, asked, order, 100)) == wanted


# --- plans --------------------------------------------------------------------


def plans_of(vault: Vault, asked: Query, order: Order, monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    plans = Plans(monkeypatch)
    pages(vault, asked, order, 3)
    return plans.steps


@pytest.mark.parametrize("order", [Order.DATE, Order.PATIENT, Order.RECEIVED])
@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_nothing_is_found_by_reading_all_or_sorted_that_an_index_gives(
    some: Vault, way: str, name: str, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = plans_of(some, QUESTIONS[name], order, monkeypatch)
    assert steps
    index = browsing.ordering(order, is_turned=False).index
    for step in steps:
        if step.startswith("SCAN study") and "USING" not in step:
            assert order is Order.RECEIVED, step  # rows stand in that order
        elif step.startswith("SCAN study") and not step.startswith("SCAN study_"):
            assert index.split()[-1] in step or "study_by" in step or "autoindex" in step, step
        assert not step.startswith(("SCAN series", "SCAN study_word", "SCAN study_term", "SCAN study_name")), step
    if way == "gathered" and name == "all":
        assert not any("TEMP B-TREE FOR ORDER BY" in step for step in steps)
