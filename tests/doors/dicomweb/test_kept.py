import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.archive.archive import Archive
from leadglass.archive.braking import Braking
from leadglass.doors.dicomweb.kept import KeptAnswer, KeptAnswers
from leadglass.policy.action import Action
from leadglass.policy.brakes import DEFAULTS, Brakes, brakes_of
from leadglass.policy.caller import CallerKind
from leadglass.policy.masking import without_identity
from leadglass.policy.scope import Field, Scope
from leadglass.vault.vault import Vault
from tests.callers import device, everything
from tests.doors.dicomweb.wadohouse import Got, WadoHouse, opened
from tests.vault.sets import EXPLICIT, data_set, encoded

STUDY = "/studies/1.2.3.4"
SERIES = f"{STUDY}/series/1.2.3.4.1"


def _store(house: WadoHouse, number: int, **more: object) -> None:
    house.store(encoded(data_set(SOPInstanceUID=f"1.2.3.4.1.{number}", InstanceNumber=number, **more)), EXPLICIT)


def _locates(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often something is located from now on."""
    counted: list[int] = []
    locate = Vault.locate

    def watched(self: Vault, *arguments: object) -> object:
        counted.append(1)
        return locate(self, *arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Vault, "locate", watched)
    return counted


def _uids(got: Got) -> list[str]:
    return [each["00080018"]["Value"][0] for each in json.loads(got.body)]


@pytest.mark.parametrize("encoding", ["identity", "deflate"])
@pytest.mark.parametrize("path", [STUDY, SERIES])
def test_metadata_that_was_given_is_given_again_without_a_look_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, encoding: str
) -> None:
    with opened(tmp_path) as house:
        for number in range(1, 6):
            _store(house, number)
        first = house.get(f"{path}/metadata", accept_encoding=encoding)
        located = _locates(monkeypatch)
        again = house.get(f"{path}/metadata", accept_encoding=encoding)
        tag = first.headers["etag"]
        spared = house.get(f"{path}/metadata", accept_encoding=encoding, if_none_match=tag)
        assert located == []
        assert (again.status, again.body, again.media) == (200, first.body, first.media)
        assert again.headers["etag"] == tag
        assert (spared.status, spared.body, spared.headers["etag"]) == (304, b"", tag)
        assert "content-encoding" not in spared.headers
        house.archive.end(house.caller)
        [closed] = [event for event in house.events("done") if event.study_uid]
        assert closed.detail["instances"] == 10, "what was kept is counted as what was read; what is spared is not"


def test_what_is_stored_moved_away_or_deleted_shows_at_once(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        _store(house, 1)
        assert _uids(house.get(f"{SERIES}/metadata")) == ["1.2.3.4.1.1"]
        _store(house, 2)
        assert _uids(house.get(f"{SERIES}/metadata")) == ["1.2.3.4.1.1", "1.2.3.4.1.2"]
        house.archive.delete(everything(), "1.2.3.4")
        assert house.get(f"{SERIES}/metadata").status == 404
        _store(house, 3)
        assert _uids(house.get(f"{SERIES}/metadata")) == ["1.2.3.4.1.3"]


def test_what_happens_to_other_studies_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as house:
        _store(house, 1)
        first = house.get(f"{SERIES}/metadata")
        other = data_set(StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1", SOPInstanceUID="1.9.1.1", PatientID="X")
        house.store(encoded(other), EXPLICIT)
        located = _locates(monkeypatch)
        assert house.get(f"{SERIES}/metadata").body == first.body
        assert located == []


def test_it_is_given_to_nobody_who_would_not_be_given_it_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        _store(house, 1)
        mine = house.caller
        full = house.get(f"{SERIES}/metadata")
        for caller, status in (
            (device("OTHER", Action.GET, scope=Scope.where(Field.STUDY, "1.9")), 404),
            (device("NOBODY", Action.FIND), 403),
            (device("NOTHING", Action.GET, scope=Scope.nothing()), 403),
            (device("SAME", Action.GET, scope=Scope.where(Field.STUDY, "1.2.3.4")), 200),
        ):
            house.caller = caller
            got = house.get(f"{SERIES}/metadata", if_none_match=full.headers["etag"] if status != 200 else "")
            assert got.status == status
            assert (got.body == full.body) is (status == 200)
        house.caller = device("MASKED", Action.GET, view=without_identity())
        for _ in range(2):
            masked = house.get(f"{SERIES}/metadata")
            assert b"Doe" not in masked.body
        house.caller = mine
        assert house.get(f"{SERIES}/metadata").body == full.body, "nor is what was masked given to who sees all"


def test_a_label_that_is_taken_away_closes_it(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        _store(house, 1)
        house.archive.label(everything(), "1.2.3.4", "cardio", is_given=True)
        house.caller = device("CARDIO", Action.GET, scope=Scope.where(Field.LABEL, "cardio"))
        assert house.get(f"{SERIES}/metadata").status == 200
        house.archive.label(everything(), "1.2.3.4", "cardio", is_given=False)
        assert house.get(f"{SERIES}/metadata").status == 404


def test_the_brakes_count_what_is_kept(tmp_path: Path) -> None:
    few: Brakes = brakes_of(
        queries_per_minute=100,
        listed_per_hour=100,
        listed_per_day=100,
        studies_per_hour=1,
        studies_per_day=1,
        gib_per_hour=1,
        gib_per_day=1,
        slow_from_percent=100,
    )
    with opened(tmp_path, braking=Braking({**DEFAULTS, CallerKind.DEVICE: few})) as house:
        _store(house, 1)
        other = data_set(StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1", SOPInstanceUID="1.9.1.1", PatientID="X")
        house.store(encoded(other), EXPLICIT)
        assert house.get(f"{SERIES}/metadata").status == 200
        house.caller = device("SECOND", Action.GET)
        assert house.get("/studies/1.9/metadata").status == 200
        assert house.get(f"{SERIES}/metadata").status == 429


def test_an_answer_that_is_not_taken_to_its_end_is_not_kept(tmp_path: Path) -> None:
    kept = KeptAnswers()
    blocks = kept.keeping("asked", 1, '"tag"', 2, (each for each in (b"a", b"b")))
    next(blocks)
    blocks.close()
    assert kept.find("asked") is None
    assert list(kept.keeping("asked", 1, '"tag"', 2, (each for each in (b"a", b"b")))) == [b"a", b"b"]
    assert kept.find("asked") == KeptAnswer(1, '"tag"', b"ab", 2)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 60)), max_size=30))
def test_no_more_is_kept_than_may_be(answers: list[tuple[str, int]]) -> None:
    kept = KeptAnswers(most=100, largest=40)
    for name, size in answers:
        list(kept.keeping(name, 1, "", 1, (each for each in (bytes(size),))))
    sizes = [len(found.body) for name in "abcdef" if (found := kept.find(name)) is not None]
    assert sum(sizes) <= 100
    assert all(size <= 40 for size in sizes)


def test_too_much_that_happened_meanwhile_is_not_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as house:
        _store(house, 1)
        since = house.archive.position(house.caller, Action.GET)
        assert isinstance(house.archive, Archive)
        _store(house, 2)
        monkeypatch.setattr("leadglass.vault.changes._SCANNED", 0)
        first = house.get(f"{SERIES}/metadata")
        assert house.archive.position(house.caller, Action.GET) > since
        other = data_set(StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1", SOPInstanceUID="1.9.1.1", PatientID="X")
        house.store(encoded(other), EXPLICIT)
        located = _locates(monkeypatch)
        assert house.get(f"{SERIES}/metadata").body == first.body
        assert located == [1]
