import pytest
from hypothesis import given

from leadglass.policy.facts import StudyFacts, referrer
from leadglass.policy.scope import Condition, Field, Scope
from tests.policy.scopes import CONDITIONS, FACTS, SCOPES

STUDY = StudyFacts(
    "1.2.3",
    "P1",
    "HOSPA",
    sources=frozenset({"device:CT1"}),
    labels=frozenset({"teaching"}),
    referrers=frozenset({"doe^jane"}),
)


@given(FACTS)
def test_nothing_covers_nothing_and_everything_covers_everything(facts: StudyFacts) -> None:
    assert not Scope.nothing().covers(facts)
    assert not Scope().covers(facts)
    assert Scope.everything().covers(facts)


@given(FACTS)
def test_a_condition_without_values_is_never_met(facts: StudyFacts) -> None:
    for field in Field:
        assert not Condition(field, frozenset()).covers(facts)
        assert not Scope.where(field).covers(facts)


@given(SCOPES, SCOPES, FACTS)
def test_union_covers_what_either_covers(a: Scope, b: Scope, facts: StudyFacts) -> None:
    assert (a | b).covers(facts) == (a.covers(facts) or b.covers(facts))


@given(SCOPES, SCOPES, FACTS)
def test_intersection_covers_what_both_cover(a: Scope, b: Scope, facts: StudyFacts) -> None:
    assert (a & b).covers(facts) == (a.covers(facts) and b.covers(facts))


@given(SCOPES, SCOPES, SCOPES, FACTS)
def test_intersection_distributes_over_union(a: Scope, b: Scope, c: Scope, facts: StudyFacts) -> None:
    assert (a & (b | c)).covers(facts) == ((a & b) | (a & c)).covers(facts)


@given(SCOPES)
def test_nothing_and_everything_are_neutral_and_absorbing(a: Scope) -> None:
    assert (a | Scope.nothing()) == a == (Scope.nothing() | a)
    assert (a & Scope.everything()) == a == (Scope.everything() & a)
    assert (a & Scope.nothing()).is_nothing
    assert (Scope.nothing() & a).is_nothing


@given(SCOPES, SCOPES)
def test_the_order_of_union_and_intersection_does_not_matter(a: Scope, b: Scope) -> None:
    assert a | b == b | a
    assert a & b == b & a


@given(SCOPES, FACTS)
def test_a_scope_that_says_it_is_nothing_covers_nothing(a: Scope, facts: StudyFacts) -> None:
    if a.is_nothing:
        assert not a.covers(facts)


@given(CONDITIONS, FACTS)
def test_a_condition_reads_its_own_field_and_no_other(condition: Condition, facts: StudyFacts) -> None:
    only = {
        Field.STUDY: StudyFacts(facts.study_uid),
        Field.PATIENT: StudyFacts("none of the values", facts.patient_id),
        Field.ISSUER: StudyFacts("none of the values", issuer_of_patient_id=facts.issuer_of_patient_id),
        Field.SOURCE: StudyFacts("none of the values", sources=facts.sources),
        Field.LABEL: StudyFacts("none of the values", labels=facts.labels),
        Field.REFERRER: StudyFacts("none of the values", referrers=facts.referrers),
    }[condition.field]
    assert condition.covers(only) == condition.covers(facts)


def test_each_field_is_compared_whole_and_with_case() -> None:
    for field, value in (
        (Field.STUDY, "1.2.3"),
        (Field.PATIENT, "P1"),
        (Field.ISSUER, "HOSPA"),
        (Field.SOURCE, "device:CT1"),
        (Field.LABEL, "teaching"),
        (Field.REFERRER, "doe^jane"),
    ):
        assert Scope.where(field, value).covers(STUDY)
        assert Scope.where(field, "other", value).covers(STUDY)
        for other in (value[:-1], value + "1", value.swapcase() + "x", "*", "%", ""):
            assert not Scope.where(field, other).covers(STUDY)


@given(SCOPES)
def test_explaining_a_scope_names_no_patient(a: Scope) -> None:
    secret = Scope.where(Field.PATIENT, "P-SECRET") & (a | Scope.everything())
    assert "P-SECRET" not in secret.explain()
    assert secret.explain() != "no study"


def test_a_scope_is_explained_in_words() -> None:
    assert Scope.nothing().explain() == "no study"
    assert Scope.everything().explain() == "every study"
    both = Scope.where(Field.STUDY, "1.2") & Scope.where(Field.LABEL, "b", "a")
    assert both.explain() == "label in {a, b} and study 1.2"
    assert Scope.patients("4711").explain() == "one patient"
    assert Scope.patients("4711", "4712", issuer="HOSPA").explain() == "issuer HOSPA and one of 2 patients"
    assert Scope.where(Field.PATIENT, "4711").explain() == "one patient of any issuer"


@pytest.mark.parametrize(
    ("issuer", "covered"),
    [("", [True, False, False]), ("HOSPA", [False, True, False]), ("HOSPB", [False, False, True])],
)
def test_the_same_patient_id_of_another_issuer_is_another_patient(issuer: str, covered: list[bool]) -> None:
    studies = [StudyFacts(f"1.{number}", "P1", said) for number, said in enumerate(("", "HOSPA", "HOSPB"))]
    assert [Scope.patients("P1", issuer=issuer).covers(each) for each in studies] == covered
    assert not any(Scope.patients("P2", issuer=issuer).covers(each) for each in studies)
    assert all(Scope.where(Field.PATIENT, "P1").covers(each) for each in studies)


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("Doe^Jane", "doe^jane"),
        ("DOE^JANE^^DR.", "doe^jane"),
        (" Doe  ^ Jane Mary ^X", "doe^jane mary"),
        ("Doe", "doe"),
        ("Doe^^X", "doe"),
        ("\uff24oe^Jane", "doe^jane"),
        ("Größe^Jörg", "grösse^jörg"),
        ("", ""),
        ("^Jane", ""),
        ("^", ""),
    ],
)
def test_a_referrer_is_told_by_family_and_given_name_alone(written: str, form: str) -> None:
    assert referrer(written) == form
    assert referrer(form) == form
