from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.crypto.database import driver, open_sealed
from leadglass.policy.facts import StudyFacts
from leadglass.policy.scope import Condition, Field, Scope
from leadglass.vault.index.migrations import migrate
from leadglass.vault.index.scope_sql import where
from leadglass.vault.index.sql import ask

KEY = bytes(32)

# Few values, so that they meet often; among them what SQL could trip over.
WORDS = st.sampled_from(
    ["", "a", "A", "b", " a", "a ", "%", "_", "'", '"', "a'b", "ä", "a\u0308", "\\", "1", "01", "\0", "null"]
)
SETS = st.frozensets(WORDS, max_size=3)
FACTS = st.builds(StudyFacts, study_uid=WORDS, patient_id=WORDS, issuer_of_patient_id=WORDS, sources=SETS, labels=SETS)
CONDITIONS = st.builds(Condition, st.sampled_from(Field), SETS)
CLAUSES = st.frozensets(CONDITIONS, max_size=3)
PLAIN = st.one_of(
    st.just(Scope.nothing()), st.just(Scope.everything()), st.builds(Scope, st.frozensets(CLAUSES, max_size=3))
)
SCOPES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1]),
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> "driver.Connection":
    path: Path = tmp_path_factory.mktemp("scope") / "index.db"
    connection = open_sealed(path, KEY, create=True)
    migrate(connection)
    return connection


def matched(index: "driver.Connection", scope: Scope, stored: list[StudyFacts]) -> list[bool]:
    """Say which of some studies the SQL reading finds; nothing stays in the index."""
    condition = where(scope)
    index.execute("BEGIN")
    for number, facts in enumerate(stored, start=1):
        index.execute(
            "INSERT INTO study (id, study_uid, patient_id, issuer_of_patient_id, patient, key, attributes, received)"
            " VALUES (?, ?, ?, ?, '', x'', x'', '')",
            (number, facts.study_uid, facts.patient_id, facts.issuer_of_patient_id),
        )
        for source in facts.sources:
            index.execute("INSERT INTO study_source VALUES (?, ?)", (number, source))
        for label in facts.labels:
            index.execute("INSERT INTO study_label VALUES (?, ?)", (number, label))
        for form in facts.referrers:
            index.execute("INSERT INTO study_referrer VALUES (?, ?)", (number, form))
    found = {row for (row,) in ask(index, "SELECT id FROM study WHERE " + condition.text, condition.values)}  # noqa: S608
    index.execute("ROLLBACK")
    return [number in found for number in range(1, len(stored) + 1)]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scope=SCOPES, stored=st.lists(FACTS, min_size=1, max_size=4, unique_by=lambda facts: facts.study_uid))
def test_both_readings_of_a_scope_agree(index: "driver.Connection", scope: Scope, stored: list[StudyFacts]) -> None:
    assert matched(index, scope, stored) == [scope.covers(facts) for facts in stored]


ONE = StudyFacts("1", "p", "", frozenset({"CT1"}), frozenset({"trial"}))


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (Scope.nothing(), False),
        (Scope.everything(), True),
        (Scope.where(Field.STUDY), False),
        (Scope.where(Field.SOURCE), False),
        (Scope.where(Field.LABEL), False),
        (Scope.where(Field.PATIENT), False),
        (Scope.nothing() | Scope.where(Field.PATIENT, "p"), True),
        (Scope.everything() & Scope.nothing(), False),
        (Scope.everything() & Scope.where(Field.LABEL, "trial"), True),
        (Scope.where(Field.LABEL, "trial") & Scope.where(Field.SOURCE, "CT2"), False),
        (Scope.where(Field.PATIENT, "P"), False),
        (Scope.patients("p"), True),
        (Scope.patients("p", issuer="HOSPA"), False),
    ],
)
def test_the_edges_of_a_scope(index: "driver.Connection", scope: Scope, covered: bool) -> None:
    assert matched(index, scope, [ONE]) == [covered]
    assert scope.covers(ONE) is covered


def test_many_values_are_one_parameter(index: "driver.Connection") -> None:
    scope = Scope.where(Field.STUDY, *map(str, range(300_000)))
    assert matched(index, scope, [ONE]) == [True]
