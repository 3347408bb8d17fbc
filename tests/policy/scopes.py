"""Strategies for facts and scopes, with few values, so that they meet."""

from hypothesis import strategies as st

from leadglass.policy.facts import StudyFacts
from leadglass.policy.scope import Clause, Condition, Field, Scope

_VALUES = st.sampled_from(["", "A", "B", "C", "' OR 1=1 --"])

FACTS = st.builds(
    StudyFacts,
    study_uid=st.sampled_from(["A", "B", "C"]),
    patient_id=_VALUES,
    issuer_of_patient_id=_VALUES,
    sources=st.frozensets(_VALUES, max_size=3),
    labels=st.frozensets(_VALUES, max_size=3),
    referrers=st.frozensets(_VALUES, max_size=3),
)

CONDITIONS = st.builds(Condition, st.sampled_from(Field), st.frozensets(_VALUES, max_size=3))

SCOPES = st.builds(
    Scope, st.frozensets(st.builds(Clause, st.frozensets(CONDITIONS, max_size=3)), max_size=3)
) | st.sampled_from([Scope.nothing(), Scope.everything()])
