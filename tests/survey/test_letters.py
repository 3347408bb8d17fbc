"""Letters: to one owner, about what is theirs, under a subject that gives nothing away."""

from collections.abc import Generator
from dataclasses import replace
from datetime import date
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


def _letter(kept: Followed, owner: str, language: str = "en") -> letters.Letter:
    entries = letters.owed_to(kept.register, owner, "internal")
    fixes = {found().id: found().fixes}
    return letters.letter(kept.scope, entries, fixes, owner, DAY, language=language)


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
    subject = _letter(kept, "Radiology IT").subject
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


def test_what_a_language_lacks_is_english_and_every_text_is_used(kept: Followed) -> None:
    assert _letter(kept, "Radiology IT", "xx") == _letter(kept, "Radiology IT")
    scope = replace(kept.scope, owner="Sender", authorised_by="Authority")
    entries = letters.owed_to(kept.register, "Radiology IT", "internal")
    text = letters.letter(scope, entries, {found().id: found().fixes}, "Radiology IT", DAY).text
    for name, template in letters.TEXTS["en"].items():
        assert template.partition("{")[0].strip() in text, name
