import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.errors import BadInput
from leadglass.policy.facts import StudyFacts, referrer
from leadglass.policy.scope import Field, Scope
from leadglass.policy.scope_words import MOST_WORDS, parse_scope, write_scope

VALUES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
UIDS = st.lists(st.integers(0, 10**9), min_size=1, max_size=5).map(lambda parts: ".".join(map(str, parts)))
WORDS = st.one_of(
    UIDS.map(lambda uid: f"study={uid}"),
    st.builds("{}={}".format, st.sampled_from(["patient", "patient@*", "source", "label"]), VALUES),
    st.builds("patient@{}={}".format, VALUES.filter(lambda issuer: "=" not in issuer), VALUES),
    VALUES.map(referrer).filter(bool).map("referrer={}".format),
)


@given(st.lists(WORDS, max_size=8))
def test_what_was_read_is_written_so_that_it_reads_the_same(words: list[str]) -> None:
    scope = parse_scope(words)
    assert parse_scope(write_scope(scope)) == scope
    assert set(write_scope(scope)) == set(words)


@given(st.lists(WORDS, min_size=1, max_size=6), st.data())
def test_several_words_mean_any_of_them(words: list[str], data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(words))
    name, _, value = chosen.partition("=")
    field, _, issuer = name.partition("@")
    facts = {
        "study": StudyFacts(value),
        "patient": StudyFacts("9.9", patient_id=value, issuer_of_patient_id=issuer),
        "source": StudyFacts("9.9", sources=frozenset({value})),
        "label": StudyFacts("9.9", labels=frozenset({value})),
        "referrer": StudyFacts("9.9", referrers=frozenset({referrer(value)})),
    }[field]
    assert parse_scope(words).covers(facts)


@given(st.text(max_size=80))
def test_any_text_is_a_scope_or_bad_input_and_never_everything_by_accident(text: str) -> None:
    try:
        scope = parse_scope([text])
    except BadInput:
        return
    assert scope == Scope.everything() if text == "all" else not scope.covers(StudyFacts("0.0.0.1"))


def test_no_word_is_nothing_and_only_all_is_everything() -> None:
    assert parse_scope([]) == Scope.nothing()
    assert parse_scope(["all"]) == Scope.everything()
    assert parse_scope(iter(["all", "all"])) == Scope.everything()
    assert write_scope(Scope.everything()) == ("all",)
    assert write_scope(Scope.nothing()) == ()


@pytest.mark.parametrize(
    "word",
    ["", "=", "patient", "patient=", "patient= ", "study=1..2", "study=01.2", "study=1.2.a", "study=" + "1" * 65,
     "patient@=4711", "patient@ =4711", "patient@A\nB=4711", "study@A=1.2", "issuer=A", "patient@A", "@A=4711",
     "everything", "ALL", "owner=me", "label=a\nb", "source=" + "A" * 65, "patient=\x1b[2J"],
)  # fmt: skip
def test_a_word_is_not_guessed_at(word: str) -> None:
    with pytest.raises(BadInput):
        parse_scope([word])


def test_a_patient_id_may_hold_what_separates_and_an_issuer_stands_before_it() -> None:
    for odd in ("47@HOSPA", "47=11", "47^^^HOSPA", "@=", "47\\11", "*"):
        assert parse_scope([f"patient={odd}"]) == Scope.patients(odd)
        assert parse_scope([f"patient@HOSPA={odd}"]) == Scope.patients(odd, issuer="HOSPA")
        assert parse_scope([f"patient@*={odd}"]) == Scope.where(Field.PATIENT, odd)
    assert parse_scope(["patient@A@B=4711"]) == Scope.patients("4711", issuer="A@B")


def test_an_issuer_that_words_cannot_say_is_not_written_as_another_one() -> None:
    for issuer in ("A=B", "*"):
        with pytest.raises(BadInput):
            write_scope(Scope.patients("4711", issuer=issuer))


def test_all_beside_something_narrower_is_refused() -> None:
    with pytest.raises(BadInput, match="either"):
        parse_scope(["all", "patient=4711"])


def test_a_refusal_says_no_patient_id() -> None:
    with pytest.raises(BadInput) as refused:
        parse_scope(["patient=" + "4711" * 20])
    assert "4711" not in refused.value.message


def test_words_are_bounded_and_conditions_that_must_meet_are_not_words() -> None:
    with pytest.raises(BadInput, match="label"):
        parse_scope(f"label={number}" for number in range(MOST_WORDS + 1))
    with pytest.raises(BadInput):
        write_scope(Scope.where(Field.LABEL, "a") & Scope.where(Field.SOURCE, "b"))
