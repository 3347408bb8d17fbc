"""Letters: to one owner, about what is theirs, under a subject that gives nothing away."""

import re
from collections.abc import Generator
from datetime import date, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from leadglass.errors import NotHere
from leadglass.survey import letters
from leadglass.survey.entries import Asset
from leadglass.survey.recipes import RECIPES
from tests.survey.followed import Followed, followed, found

DAY = date(2026, 3, 1)


@pytest.fixture
def kept(tmp_path: Path) -> Generator[Followed]:
    """Give a folder with findings of two owners."""
    made = followed(tmp_path)
    made.run([found(), found("192.0.2.11", 11112), found("192.0.2.200")])
    made.register.assign(Asset(ip_network("192.0.2.0/28"), 0, "Radiology", "Radiology IT", "4711"))
    made.register.assign(Asset(ip_network("192.0.2.200"), 0, "Lab", "Vendor {due} %s <b>", "4712"))
    yield made
    made.state.close()


def _letter(kept: Followed, owner: str, language: str = "en", day: date = DAY) -> letters.Letter:
    entries = letters.owed_to(kept.register, owner, "internal")
    known, notices = kept.register.found(entries), kept.register.notices()
    return letters.letter(kept.scope, entries, known, notices, owner, day, language=language)


def test_a_letter_names_what_is_the_owners_and_nothing_of_others(kept: Followed) -> None:
    letter = _letter(kept, "Radiology IT")
    assert "192.0.2.10:104" in letter.body
    assert "192.0.2.11:11112" in letter.body
    assert "192.0.2.200" not in letter.text
    assert found().id in letter.body
    assert RECIPES["firewall-dicom"].title in letter.body
    assert "2026-03-08" in letter.body
    assert kept.scope.contact in letter.body


def test_a_subject_gives_nothing_away(kept: Followed) -> None:
    _gives_nothing_away(_letter(kept, "Radiology IT").subject)


def _gives_nothing_away(subject: str) -> None:
    assert "\n" not in subject
    for telling in ("192", "104", "DICOM", "PACS", "archive", "open", "Radiology", "Clinic", "patient", "port"):
        assert telling.lower() not in subject.lower()
    assert not any(character.isdigit() for character in subject)


def test_an_owners_name_is_a_name_whatever_it_looks_like(kept: Followed) -> None:
    body = _letter(kept, "Vendor {due} %s <b>").body
    assert body.startswith("To Vendor {due} %s <b>,")


def test_what_is_closed_is_not_written_about(kept: Followed) -> None:
    kept.run([], looked=[("192.0.2.200", 104)])
    with pytest.raises(NotHere):
        _letter(kept, "Vendor {due} %s <b>")
    with pytest.raises(NotHere):
        _letter(kept, "Nobody")


def test_who_was_told_before_is_reminded_of_when_and_of_what_is_still_there(kept: Followed) -> None:
    kept.register.told("192.0.2.10", "me", "", DAY)
    assert not _letter(kept, "Radiology IT").is_reminder  # the letter of the same day is that notice
    assert "192.0.2.10:104" in _letter(kept, "Radiology IT").body
    kept.run([found(), found("192.0.2.11", 11112)], day=DAY + timedelta(days=7))
    reminder = _letter(kept, "Radiology IT", day=DAY + timedelta(days=7))
    assert reminder.is_reminder
    assert "You know since 2026-03-01 (7 days ago)" in reminder.body
    still, since = reminder.body.index("192.0.2.10:104"), reminder.body.index("192.0.2.11:11112")
    assert reminder.body.index("What is still there:") < still < reminder.body.index("not told of yet:") < since
    assert "Known to you since 2026-03-01; seen again on 2026-03-08." in reminder.body
    assert reminder.subject != _letter(kept, "Vendor {due} %s <b>").subject
    _gives_nothing_away(reminder.subject)


def test_what_is_said_to_be_closed_is_not_asked_for_again(kept: Followed) -> None:
    kept.register.told("192.0.2.10", "me", "", DAY)
    kept.register.fixed("192.0.2.10", "them", "", DAY)
    letter = _letter(kept, "Radiology IT", day=DAY + timedelta(days=7))
    assert not letter.is_reminder
    assert (
        letter.body.index("192.0.2.11:11112")
        < letter.body.index("said to be closed")
        < letter.body.index("192.0.2.10:104")
    )


def test_who_said_it_was_closed_and_is_contradicted_by_a_run_is_reminded(kept: Followed) -> None:
    kept.register.fixed("192.0.2.10", "them", "", DAY)
    kept.state.connection.execute("UPDATE entry SET said = ''")  # before the run began
    kept.run([found()], day=DAY + timedelta(days=7))
    letter = _letter(kept, "Radiology IT", day=DAY + timedelta(days=7))
    assert letter.is_reminder
    assert "Known to you since 2026-03-01; seen again on 2026-03-08." in letter.body


def test_what_was_closed_and_came_back_is_told_of_anew(kept: Followed) -> None:
    kept.register.told("192.0.2.10", "me", "", DAY)
    kept.run([], looked=[("192.0.2.10", 104)], day=DAY + timedelta(days=7))
    kept.run([found()], day=DAY + timedelta(days=30))
    letter = _letter(kept, "Radiology IT", day=DAY + timedelta(days=31))
    assert not letter.is_reminder
    assert "What was closed before, and is back:" in letter.body


def test_reminders_are_due_after_7_30_and_60_days_and_half_yearly_and_telling_again_does_not_begin_anew(
    kept: Followed,
) -> None:
    def owed() -> letters.Owed:
        return next(each for each in letters.owing(kept.register, "internal") if each.owner == "Radiology IT")

    assert (owed().untold, owed().still, owed().remind, owed().is_due(DAY)) == (2, 0, None, True)
    kept.register.told("192.0.2.10", "me", "", DAY)
    kept.register.told("192.0.2.11", "me", "", DAY)
    days = [7, 30, 60, 60 + 182]
    for day in days:
        until = DAY + timedelta(days=day)
        assert owed().remind == until
        assert not owed().is_due(until - timedelta(days=1))
        assert owed().is_due(until)
        for address in ("192.0.2.10", "192.0.2.11"):
            kept.register.told(address, "me", "", until)
    assert kept.register.entries()[0].since == DAY
    assert owed().contacts == ("4711",)
    notice = owed().notice
    assert notice is not None
    assert (notice.first, notice.count) == (DAY, 5)
    entry = kept.register.of("192.0.2.10")[0]
    assert [step.became for step in kept.register.steps(entry)] == ["open", *["told"] * 5]


def test_who_was_told_before_notices_were_kept_is_reminded_too(kept: Followed) -> None:
    kept.register.told("192.0.2.10", "me", "", DAY)
    kept.state.connection.execute("DELETE FROM notice")
    assert _letter(kept, "Radiology IT", day=DAY + timedelta(days=30)).is_reminder


def test_a_language_that_is_not_there_is_english_and_every_text_is_used(kept: Followed) -> None:
    assert _letter(kept, "Radiology IT", "xx") == _letter(kept, "Radiology IT")
    kept.run([found(), found("192.0.2.12")], looked=[("192.0.2.11", 11112)])
    kept.run([found("192.0.2.11", 11112)], looked=())
    kept.register.fixed("192.0.2.12", "them", "", DAY)
    first = _letter(kept, "Radiology IT")
    kept.register.told("192.0.2.10", "me", "", DAY)
    kept.run([found("192.0.2.9")], looked=())
    said = first.text + _letter(kept, "Radiology IT", day=DAY + timedelta(days=7)).text
    for name, template in letters.TEXTS.items():
        for part in re.split(r"\{\w+\}", template):
            assert part in said or name == "file", name
