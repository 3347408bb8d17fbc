"""Records in words: nothing that is recorded lacks them."""

import pytest

from leadglass.audit.event import Event, Outcome
from leadglass.audit.meaning import TABLE
from leadglass.doors.pages.audit.words import ACTIONS, sentence, who
from leadglass.policy.caller import CallerKind


def test_every_action_there_is_has_words() -> None:
    assert set(TABLE) == set(ACTIONS)


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("action", [*ACTIONS, "something newer"])
def test_every_record_is_a_sentence_without_what_is_machines(action: str, outcome: Outcome) -> None:
    said = sentence(Event(outcome, action, "person:jane", "10.1.2.3", "pages", "because"))
    assert said
    assert "{" not in said
    assert "None" not in said
    assert not said.endswith((" ", "."))


@pytest.mark.parametrize(
    ("caller", "peer", "said"),
    [
        ("person:jane", "10.1.2.3", "jane"),
        ("device:CT1", "10.1.2.3", "Device CT1"),
        ("token:viewer", "10.1.2.3", "Program viewer"),
        ("token:jane/nightly", "10.1.2.3", "A script of jane (nightly)"),
        ("cli:root", "local", "Operator root"),
        ("", "local", "The archive"),
        ("", "10.1.2.3", "Somebody"),
        ("newer:x", "10.1.2.3", "newer x"),
    ],
)
def test_who_it_was_is_said(caller: str, peer: str, said: str) -> None:
    assert who(Event(Outcome.PERMITTED, "get", caller, peer)) == said


def test_every_kind_of_caller_has_a_word() -> None:
    for kind in CallerKind:
        assert ":" not in who(Event(Outcome.PERMITTED, "get", f"{kind}:x", "10.1.2.3"))


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Event(Outcome.DONE, "get", detail={"instances": 250}), "finished opening a study: 250 images"),
        (Event(Outcome.PERMITTED, "manage", detail={"change": "lock", "account": "jane"}), "locked the account jane"),
        (Event(Outcome.PERMITTED, "manage", detail={"change": "x", "id": 7}), "changed something: x (7)"),
        (Event(Outcome.PERMITTED, "manage", detail={"change": "add", "device": "CT1"}), "enrolled the device CT1"),
        (Event(Outcome.PERMITTED, "manage", detail={"change": "test", "device": "CT1"}), "tested the device CT1"),
        (Event(Outcome.PERMITTED, "audit", detail={"asked": "who saw a patient"}), "asked who saw a patient"),
        (Event(Outcome.REFUSED, "get"), "was refused opening a study"),
        (Event(Outcome.ALERT, "break-glass", "person:jane"), "opened studies in an emergency"),
        (Event(Outcome.DONE, "break-glass", "person:judge", detail={"review": 7}), "reviewed emergency 7"),
        (Event(Outcome.PERMITTED, "share", detail={"change": "create", "link": "0f"}), "made the link 0f"),
        (Event(Outcome.PERMITTED, "share", detail={"change": "revoke", "link": "0f"}), "ended the link 0f"),
    ],
)
def test_what_happened_is_said(event: Event, said: str) -> None:
    assert sentence(event) == said
