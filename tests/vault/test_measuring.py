"""Measuring: how much there is, counted or told from a sample."""

from pathlib import Path

import pytest

from leadglass.errors import Conflict
from leadglass.vault import measuring
from leadglass.vault.vault import Vault
from tests.vault.sets import instance, opened, store


def test_an_empty_vault_has_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        seen = vault.measures()
    assert (seen.studies, seen.instances, seen.octets, seen.quarantined, seen.oldest_quarantined) == (0, 0, 0, 0, None)


def _filled(vault: Vault) -> list[bytes]:
    sets = [
        instance(StudyInstanceUID=f"1.{study}", SeriesInstanceUID=f"1.{study}.1", SOPInstanceUID=f"1.{study}.1.{image}")
        for study in (1, 2)
        for image in range(1, 4)
    ]
    for each in sets:
        store(vault, each)
    return sets


def test_what_is_stored_and_what_is_kept_aside_are_counted(vault: Vault) -> None:
    sets = _filled(vault)
    other = instance(
        StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", SOPInstanceUID="1.1.1.1", StudyDescription="other"
    )
    with pytest.raises(Conflict):
        store(vault, other)
    seen = vault.measures()
    assert (seen.studies, seen.instances, seen.octets) == (2, 6, sum(map(len, sets)))
    assert (seen.quarantined, seen.quarantined_octets) == (1, len(other))
    assert seen.quarantine_room > 0
    assert seen.oldest_quarantined is not None
    assert seen.oldest_quarantined.tzinfo is not None


def test_of_very_many_the_size_is_told_from_some(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = _filled(vault)
    monkeypatch.setattr(measuring, "_EXACT", 3)
    exact = sum(map(len, sets))
    assert vault.measures().octets == pytest.approx(exact, rel=0.05)
