"""Looking into quarantine, deciding over many, and what need not be sent again."""

import hashlib
from pathlib import Path

import pytest

from leadglass.archive.backroom import Mark, Resolution, Stored
from leadglass.errors import Conflict, Corrupt, Denied, LeadglassError, NotHere
from leadglass.policy.action import Action
from leadglass.policy.scope import Field, Scope
from leadglass.vault.vault import Vault
from tests.callers import permit
from tests.vault.sets import content, contents, instance, located, objects, store

RESOLVE, STORE, SUBMIT = permit(Action.RESOLVE), permit(Action.STORE), permit(Action.SUBMIT)
UID = "1.2.3.4.1.77"


def mark(data: bytes, uid: str = UID) -> Mark:
    return Mark(uid, hashlib.sha256(data).digest())


def contradiction(vault: Vault) -> tuple[bytes, bytes, int]:
    """Store an instance and have another one kept aside; gives both and the number."""
    first, second = instance(SOPInstanceUID=UID), instance(SOPInstanceUID=UID, StudyID="S2")
    store(vault, first)
    with pytest.raises(Conflict):
        store(vault, second)
    return first, second, vault.quarantined(RESOLVE)[-1].number


def test_a_look_gives_both_and_both_open(vault: Vault) -> None:
    first, second, number = contradiction(vault)
    looked = vault.look(RESOLVE, number)
    assert looked.attributes["00200010"].get("Value") == ["S2"]
    assert looked.frames is not None
    assert looked.standing is not None
    assert content(vault, looked.standing) == first
    assert vault.metadata(RESOLVE, looked.standing)["00200010"].get("Value") == ["S1"]
    with vault.open_kept(RESOLVE, number) as reader:
        assert reader.read_at(0, reader.size) == second


def test_nothing_of_it_is_given_without_the_right_to_decide(vault: Vault) -> None:
    _, _, number = contradiction(vault)
    for action in Action:
        if action is Action.RESOLVE:
            continue
        for ask in (vault.look, vault.open_kept):
            with pytest.raises(Denied):
                ask(permit(action), number)
        with pytest.raises(Denied):
            vault.quarantined(permit(action))
        with pytest.raises(Denied):
            vault.resolve_all(permit(action), [number], Resolution.DISCARD)


def test_what_the_scope_does_not_cover_is_not_here(vault: Vault) -> None:
    _, _, number = contradiction(vault)
    narrow = permit(Action.RESOLVE, scope=Scope.where(Field.STUDY, "1.9"))
    for ask in (vault.look, vault.open_kept):
        with pytest.raises(NotHere):
            ask(narrow, number)
    [outcome] = vault.resolve_all(narrow, [number], Resolution.ACCEPT)
    assert isinstance(outcome, NotHere)


def test_a_damaged_one_cannot_be_looked_into_and_can_be_discarded(vault: Vault, tmp_path: Path) -> None:
    store(vault, instance(SOPInstanceUID=UID), may=SUBMIT, origin="link")
    [file] = objects(tmp_path)
    file.write_bytes(b"x" * file.stat().st_size)
    [kept] = vault.quarantined(RESOLVE)
    with pytest.raises(Corrupt):
        vault.look(RESOLVE, kept.number)
    accepted, discarded = (vault.resolve_all(RESOLVE, [kept.number], each)[0] for each in Resolution)
    assert isinstance(accepted, Corrupt)
    assert isinstance(discarded, str)
    assert objects(tmp_path) == []


def test_many_are_decided_over_each_for_itself(vault: Vault, tmp_path: Path) -> None:
    sets = [instance(InstanceNumber=number, SOPInstanceUID=f"{UID}.{number}") for number in range(150)]
    for data in sets:
        store(vault, data, may=SUBMIT, origin="link")
    numbers = [kept.number for kept in vault.quarantined(RESOLVE)]
    before = vault.batches
    outcomes = vault.resolve_all(RESOLVE, [*numbers[:100], 999_999, numbers[0]], Resolution.ACCEPT)
    assert vault.batches.transactions - before.transactions <= 4
    assert [isinstance(each, str) for each in outcomes[:100]] == [True] * 100
    assert all(isinstance(each, NotHere) for each in outcomes[100:101])
    assert sorted(contents(vault)) == sorted(sets[:100])
    assert all(isinstance(each, str) for each in vault.resolve_all(RESOLVE, numbers[100:], Resolution.DISCARD))
    assert vault.quarantined(RESOLVE) == []
    assert len(objects(tmp_path)) == 100


def test_what_is_stored_is_known_within_the_scope_while_it_opens(vault: Vault, tmp_path: Path) -> None:
    data = instance(SOPInstanceUID=UID)
    assert vault.known(STORE, [], "CT1") == []
    assert vault.known(STORE, [mark(data)], "CT1") == [False]
    store(vault, data)
    other = instance(SOPInstanceUID=UID, StudyID="S2")
    assert vault.known(STORE, [mark(other), mark(data), mark(data, "1.9")], "CT1") == [False, True, False]
    narrow = permit(Action.STORE, scope=Scope.where(Field.STUDY, "1.9"))
    assert vault.known(narrow, [mark(data)], "CT1") == [False]
    [file] = objects(tmp_path)
    file.write_bytes(b"x" * file.stat().st_size)
    assert vault.known(STORE, [mark(data)], "CT1") == [False]
    assert store(vault, data).outcome is Stored.HEALED


def test_who_hands_in_is_told_of_what_it_sent_itself_and_nothing_else(vault: Vault) -> None:
    stored = instance(SOPInstanceUID="1.9.1")
    mine = instance(SOPInstanceUID=UID)
    store(vault, stored)
    store(vault, mine, may=SUBMIT, origin="link")
    marks = [mark(stored, "1.9.1"), mark(mine)]
    assert vault.known(SUBMIT, marks, "link") == [False, True]
    assert vault.known(SUBMIT, marks, "other link") == [False, False]
    [kept] = vault.quarantined(RESOLVE)
    vault.resolve(RESOLVE, kept.number, Resolution.ACCEPT)
    assert vault.known(SUBMIT, marks, "link") == [False, True]
    assert len(located(vault)) == 2


@pytest.mark.parametrize("action", [each for each in Action if each not in {Action.STORE, Action.SUBMIT}])
def test_nobody_else_may_ask_what_is_known(vault: Vault, action: Action) -> None:
    with pytest.raises(LeadglassError):
        vault.known(permit(action), [mark(b"x")], "CT1")
