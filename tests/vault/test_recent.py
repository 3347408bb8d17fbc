"""The series that were read from lately."""

import os
from pathlib import Path

import pytest

from leadglass.archive.backroom import InstanceRecord, Selection
from leadglass.dicom.matching import Level
from leadglass.errors import Corrupt, NotAtHand
from leadglass.policy.action import Action
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import Permit
from leadglass.policy.scope import Field, Scope
from leadglass.vault.recent import Key, Recent, Row, Rows
from leadglass.vault.vault import Vault
from tests.callers import permit
from tests.vault.sets import instance, objects, opened, spoil, store

GET = permit(Action.GET)
SERIES = "1.2.3.4.1"


def selected(number: int) -> Selection:
    return Selection((), ("1.2.3.4",), (SERIES,), (f"{SERIES}.{number}",))


def locate(vault: Vault, number: int, may: Permit = GET) -> list[InstanceRecord]:
    return vault.locate(may, Level.IMAGE, selected(number))


def fill(vault: Vault, count: int) -> None:
    for number in range(1, count + 1):
        store(vault, instance(SOPInstanceUID=f"{SERIES}.{number}", InstanceNumber=number))


@pytest.fixture
def filled(vault: Vault) -> Vault:
    """Four instances of one series, which was asked for twice."""
    fill(vault, 4)
    assert [len(locate(vault, number)) for number in (1, 2)] == [1, 1]
    return vault


def test_a_series_is_at_hand_when_it_was_asked_for_twice(vault: Vault) -> None:
    fill(vault, 3)
    locate(vault, 1)
    assert vault.at_hand(GET, selected(3)) is None
    locate(vault, 2)
    held = vault.at_hand(GET, selected(3))
    assert held is not None
    series = vault.locate(GET, Level.SERIES, Selection(series_uids=(SERIES,)))
    assert [held.record] == locate(vault, 3) == series[2:]


def test_a_series_that_is_remembered_is_located_as_the_index_has_it(filled: Vault) -> None:
    whole = Selection(study_uids=("1.2.3.4",), series_uids=(SERIES,))

    def located() -> list[InstanceRecord]:
        return filled.locate(GET, Level.SERIES, whole)

    assert located() == filled.locate(GET, Level.SERIES, Selection(series_uids=(SERIES,)))
    assert [each.sop_instance_uid for each in located()] == [f"{SERIES}.{number}" for number in (1, 2, 3, 4)]
    store(filled, instance(SOPInstanceUID=f"{SERIES}.5", InstanceNumber=0))
    assert [each.sop_instance_uid[-1] for each in located()] == ["5", "1", "2", "3", "4"]
    other = permit(Action.GET, scope=Scope.where(Field.STUDY, "1.9"))
    assert filled.locate(other, Level.SERIES, whole) == []


def test_what_is_opened_is_the_same_in_memory_of_its_own(vault: Vault) -> None:
    store(vault, instance(Rows=400, Columns=400, PixelData=os.urandom(320_000)))
    [record] = vault.locate(GET, Level.STUDY, Selection(study_uids=("1.2.3.4",)))
    with vault.open(GET, record) as reader:
        for offset, length in ((0, 10), (0, 400_000), (65_530, 10), (65_536, 131_072), (300_000, 99_999), (400_000, 1)):
            assert reader.view_at(offset, length) == reader.read_at(offset, length)
        assert len(reader.view_at(0, 1 << 20)) == record.size


def test_what_is_at_hand_reads_as_what_is_opened_in_the_usual_way(filled: Vault) -> None:
    held = filled.at_hand(GET, selected(3))
    assert held is not None
    with filled.open(GET, held.record) as usual, held.open() as at_hand:
        assert at_hand.size == usual.size
        for offset, length in ((0, usual.size), (5, 100), (usual.size - 3, 10)):
            assert at_hand.read_at(offset, length) == usual.read_at(offset, length)


def test_nothing_is_at_hand_any_more_once_anything_was_committed(filled: Vault) -> None:
    store(filled, instance(StudyInstanceUID="9.9", SeriesInstanceUID="9.9.1", SOPInstanceUID="9.9.1.1"))
    assert filled.at_hand(GET, selected(3)) is None
    assert len(locate(filled, 3)) == 1


def test_a_deleted_study_is_gone_at_once(filled: Vault) -> None:
    assert filled.at_hand(GET, selected(3)) is not None
    filled.delete(permit(Action.DELETE), "1.2.3.4")
    assert filled.at_hand(GET, selected(3)) is None
    assert locate(filled, 3) == []


def test_what_another_process_deletes_is_gone_at_once(filled: Vault, tmp_path: Path) -> None:
    assert filled.at_hand(GET, selected(3)) is not None
    with opened(tmp_path) as other:
        other.delete(permit(Action.DELETE), "1.2.3.4")
        assert filled.at_hand(GET, selected(3)) is None
        assert locate(filled, 3) == []


def test_a_label_that_is_taken_away_takes_the_study_out_of_a_scope_at_once(filled: Vault) -> None:
    manage = permit(Action.MANAGE)
    filled.label(manage, "1.2.3.4", "neuro", is_given=True)
    mine = permit(Action.GET, scope=Scope.where(Field.LABEL, "neuro"))
    for _ in range(2):
        assert len(locate(filled, 1, mine)) == 1
    assert filled.at_hand(mine, selected(1)) is not None
    filled.label(manage, "1.2.3.4", "neuro", is_given=False)
    assert filled.at_hand(mine, selected(1)) is None
    assert locate(filled, 1, mine) == []


def test_what_is_remembered_for_one_scope_is_not_there_for_another(filled: Vault) -> None:
    others = permit(Action.GET, scope=Scope.where(Field.STUDY, "1.2"))
    for _ in range(3):
        assert locate(filled, 3, others) == []
    assert filled.at_hand(others, selected(3)) is None
    assert filled.at_hand(GET, selected(3)) is not None


def test_an_object_that_was_changed_on_disk_is_not_given_at_hand(filled: Vault, tmp_path: Path) -> None:
    held = filled.at_hand(GET, selected(3))
    assert held is not None
    for path in objects(tmp_path):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with pytest.raises(Corrupt):
        held.open()


def test_a_key_that_does_not_open_is_told_to_who_opens_the_instance(filled: Vault, tmp_path: Path) -> None:
    spoil(tmp_path, "UPDATE instance SET key = zeroblob(length(key))")
    locate(filled, 1)
    locate(filled, 1)
    held = filled.at_hand(GET, selected(3))
    assert held is not None
    with pytest.raises(Corrupt):
        held.open()


def test_bytes_that_the_system_does_not_have_in_memory_are_not_waited_for(
    filled: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def would_wait(*_: object) -> int:
        raise BlockingIOError

    held = filled.at_hand(GET, selected(3))
    assert held is not None
    monkeypatch.setattr(os, "preadv", would_wait)
    with pytest.raises(NotAtHand, match="Ask again"):
        held.open()


def test_what_else_is_in_its_series_is_given_ahead_what_comes_after_it_first(filled: Vault) -> None:
    held = filled.at_hand(GET, selected(3))
    assert held is not None
    ahead = list(filled.ahead(GET, held.record, 1 << 20))
    assert [each.record.sop_instance_uid[-1] for each in ahead] == ["3", "4", "1", "2"]
    for each in ahead:
        assert each.attributes == filled.metadata(GET, each.record)
        assert each.frames == filled.frames(GET, each.record)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE instance SET frames = zeroblob(3) WHERE instance_number = 2",
        "UPDATE instance SET attributes = zeroblob(3) WHERE instance_number = 2",
    ],
)
def test_one_damaged_row_keeps_nothing_else_of_its_series_from_being_given_ahead(
    filled: Vault, tmp_path: Path, damage: str
) -> None:
    spoil(tmp_path, damage)
    locate(filled, 1)
    locate(filled, 1)
    held = filled.at_hand(GET, selected(1))
    assert held is not None
    ahead = filled.ahead(GET, held.record, 1 << 20)
    assert [each.record.sop_instance_uid[-1] for each in ahead] == ["1", "3", "4"]
    [damaged] = locate(filled, 2)
    with pytest.raises(Corrupt):
        (filled.frames if "frames" in damage else filled.metadata)(GET, damaged)


def test_nothing_is_given_ahead_of_what_came_in_the_place_of_what_is_remembered(
    filled: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of what was deleted have their numbers again, those of another patient."""
    held = filled.at_hand(GET, selected(1))
    assert held is not None
    known = Recent.known

    def then(recent: Recent, wanted: Key) -> Rows | None:
        rows = known(recent, wanted)
        monkeypatch.setattr(Recent, "known", known)
        filled.delete(permit(Action.DELETE), "1.2.3.4")
        for number in (1, 2, 3, 4):
            other = {"StudyInstanceUID": "9.9", "SeriesInstanceUID": "9.9.1", "PatientID": "0815"}
            store(filled, instance(SOPInstanceUID=f"9.9.1.{number}", **other))
        return rows

    monkeypatch.setattr(Recent, "known", then)
    assert list(filled.ahead(GET, held.record, 1 << 20)) == []
    now = filled.locate(GET, Level.STUDY, Selection(study_uids=("9.9",)))
    assert held.record.row in {each.row for each in now}, "or this has shown nothing"


# --- bounds -------------------------------------------------------------------


class Index:
    """Series by their UIDs, as an index that counts how often it is read."""

    def __init__(self, **sizes: int) -> None:
        self.sizes = sizes
        self.version = 1
        self.loads = 0

    def load(self, key: Key, most: int) -> Rows | None:
        self.loads += 1
        size = self.sizes[key.series_uid]
        return {str(number): row(number) for number in range(size)} if size <= most else None


def row(number: int) -> Row:
    facts = StudyFacts("1.2", "4711", "", frozenset(), frozenset(), frozenset())
    record = InstanceRecord(number, facts, "1.2", "1.3", str(number), "1.4", "1.5", 1, b"")
    return Row(record, b"", b"", b"", b"")


def key(series: str) -> Key:
    return Key(Scope.everything(), "1.2", series)


def test_a_series_that_is_too_large_is_not_read_again_and_again() -> None:
    index = Index(large=11)
    recent = Recent(lambda: index.version, index.load, largest=10)
    assert [recent.find(key("large")) for _ in range(10)] == [None] * 10
    assert index.loads == 1


def test_no_more_is_remembered_than_the_bound() -> None:
    index = Index(a=6, b=6, c=6)
    recent = Recent(lambda: index.version, index.load, most=12)
    for name in "abc":
        for _ in range(2):
            recent.find(key(name))
    assert [recent.known(key(name)) is not None for name in "abc"] == [False, True, True]


def test_series_that_are_not_there_are_not_remembered_however_many_are_asked_for() -> None:
    recent = Recent(lambda: 1, lambda _key, _most: {})
    for number in range(100):
        for _ in range(3):
            recent.find(key(str(number)))
    assert all(recent.known(key(str(number))) is None for number in range(100))


def test_while_others_store_a_large_series_is_not_read_anew_for_each_instance() -> None:
    index = Index(large=3_200)
    recent = Recent(lambda: index.version, index.load)
    for _ in range(1_000):
        index.version += 1
        recent.find(key("large"))
    assert 2 <= index.loads <= 12
