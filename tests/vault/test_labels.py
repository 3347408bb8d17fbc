"""Labels and referrers: what scopes look at besides who sent a study."""

import pytest

from leadglass.archive.changed import ChangeKind
from leadglass.dicom.matching import Level
from leadglass.errors import Denied, NotHere
from leadglass.policy.action import Action
from leadglass.policy.scope import Field, Scope
from leadglass.vault.vault import Vault
from tests.callers import permit
from tests.vault.sets import store
from tests.vault.test_changes import of
from tests.vault.test_find import asking
from tests.vault.test_listing import uids

MAY = permit(Action.MANAGE)


def _seen(vault: Vault, field: Field, value: str) -> list[str]:
    may = permit(Action.FIND, scope=Scope.where(field, value))
    return sorted(uids(list(vault.find(may, asking(Level.STUDY, {})))))


def test_a_label_shows_a_study_to_those_whose_scope_names_it_until_it_is_taken_away(vault: Vault) -> None:
    store(vault, of("1.1"))
    store(vault, of("1.2"))
    assert _seen(vault, Field.LABEL, "trial") == []
    assert vault.label(MAY, "1.1", "trial", is_given=True)
    assert not vault.label(MAY, "1.1", "trial", is_given=True)
    assert _seen(vault, Field.LABEL, "trial") == ["1.1"]
    assert vault.labels(MAY) == {"trial": 1}
    facts = vault.facts(MAY, "1.1")
    assert facts is not None
    assert facts.labels == {"trial"}
    store(vault, of("1.1", 2), may=permit(Action.STORE, scope=Scope.where(Field.LABEL, "trial")))
    assert vault.label(MAY, "1.1", "trial", is_given=False)
    assert not vault.label(MAY, "1.1", "trial", is_given=False)
    assert _seen(vault, Field.LABEL, "trial") == []
    with pytest.raises(Denied):
        store(vault, of("1.1", 3), may=permit(Action.STORE, scope=Scope.where(Field.LABEL, "trial")))


def test_a_label_is_for_studies_that_are_here_and_covered_and_is_told_as_a_change(vault: Vault) -> None:
    store(vault, of("1.1"))
    with pytest.raises(NotHere):
        vault.label(MAY, "1.9", "trial", is_given=True)
    with pytest.raises(NotHere):
        vault.label(permit(Action.MANAGE, scope=Scope.where(Field.STUDY, "1.9")), "1.1", "trial", is_given=True)
    with pytest.raises(Denied):
        vault.label(permit(Action.FIND), "1.1", "trial", is_given=True)
    vault.label(MAY, "1.1", "trial", is_given=True)
    assert vault.changes(permit(Action.FIND), "", 10).entries[-1].kind is ChangeKind.STUDY_CHANGED


def test_a_referrer_sees_what_bears_the_name_however_a_device_wrote_it(vault: Vault) -> None:
    store(vault, of("1.1", ReferringPhysicianName="DOE^JANE^^DR."))
    store(vault, of("1.2", ReferringPhysicianName="Doe^John"))
    store(vault, of("1.3", ReferringPhysicianName="Yamada^Tarou=山田^太郎"))
    store(vault, of("1.4", ReferringPhysicianName=""))
    assert _seen(vault, Field.REFERRER, "doe^jane") == ["1.1"]
    assert _seen(vault, Field.REFERRER, "doe") == []
    assert _seen(vault, Field.REFERRER, "yamada^tarou") == ["1.3"]
    assert _seen(vault, Field.REFERRER, "山田^太郎") == ["1.3"]
    assert _seen(vault, Field.REFERRER, "") == []


def test_what_arrives_later_under_another_referrer_changes_nobody_s_rights(vault: Vault) -> None:
    store(vault, of("1.1", ReferringPhysicianName="Doe^Jane"))
    store(vault, of("1.1", 2, ReferringPhysicianName="Roe^Richard"))
    assert _seen(vault, Field.REFERRER, "doe^jane") == ["1.1"]
    assert _seen(vault, Field.REFERRER, "roe^richard") == []
