"""What a list of studies asks, in SQL: what is looked for by an index, what is looked at, and orders.

Rule: what is said here is all of the question, so that nothing is left to judge;
values are bound, never text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString, assert_never

from leadglass.archive.lists import Order, Position
from leadglass.dicom import tags
from leadglass.dicom.matching import Fuzzy, Query, Range, Single, UidList, Words, asks_nothing
from leadglass.errors import Unsupported
from leadglass.policy.scope import Clause, Condition, Field, Scope
from leadglass.vault.index.query_sql import Near, begins
from leadglass.vault.index.scope_sql import where
from leadglass.vault.index.sql import NOTHING, Sql, all_of, any_of, one_of

COLUMNS: Final[dict[LiteralString, type]] = {
    "study.newest": str,
    "study.study_uid": str,
    "study.name": str,
    "study.patient": str,
    "study.id": int,
}
"""What is sorted by, and what a position holds of it."""


@dataclass(frozen=True, slots=True)
class Ordering:
    """An order as the database has it.

    Parameters
    ----------
    columns : tuple of str
        What is sorted by; together they are unique.
    is_falling : tuple of bool
        Whether each begins with its largest.
    index : str
        What to say behind the table's name, so that this index gives the order.
    """

    columns: tuple[LiteralString, ...]
    is_falling: tuple[bool, ...]
    index: LiteralString

    @property
    def terms(self) -> tuple[LiteralString, ...]:
        """What to say behind ORDER BY."""
        return tuple(
            column + " DESC" if falls else column for column, falls in zip(self.columns, self.is_falling, strict=True)
        )


def ordering(order: Order, *, is_turned: bool) -> Ordering:
    """Give an order, or its opposite."""
    match order:
        case Order.DATE:
            made = Ordering(("study.newest", "study.study_uid"), (True, False), " INDEXED BY study_by_newest")
        case Order.PATIENT:
            made = Ordering(
                ("study.name", "study.newest", "study.study_uid"), (False, True, False), " INDEXED BY study_by_name"
            )
        case Order.PATIENT_ID:
            made = Ordering(("study.patient", "study.id"), (False, False), " INDEXED BY study_by_patient")
        case Order.RECEIVED:
            made = Ordering(("study.id",), (True,), " NOT INDEXED")  # rows are numbered as they come
        case Order.UID:
            made = Ordering(("study.study_uid",), (False,), " INDEXED BY sqlite_autoindex_study_1")
        case _ as never:
            assert_never(never)
    return Ordering(made.columns, tuple(falls != is_turned for falls in made.is_falling), made.index)


def steps_behind(order: Ordering, position: Position) -> list[tuple[Sql, ...]]:
    """Give what comes behind a position as ranges of the index, in their order; all of it behind none."""
    if not position:
        return [()]
    steps: list[tuple[Sql, ...]] = []
    for place in reversed(range(len(position))):
        same = [_compared(column, " = ", position[at]) for at, column in enumerate(order.columns[:place])]
        steps.append((*same, _beyond(order, place, position)))
    return steps


def behind(order: Ordering, position: Position) -> Sql:
    """Say that a row comes behind a position."""
    return any_of(all_of(step) for step in steps_behind(order, position))


def not_behind(order: Ordering, position: Position) -> Sql:
    """Say that a row comes before a position, or stands at it: as a range, and exactly."""
    past = behind(order, position)
    sign: LiteralString = " >= " if order.is_falling[0] else " <= "
    return all_of((_compared(order.columns[0], sign, position[0]), Sql("NOT (" + past.text + ")", past.values)))


def _beyond(order: Ordering, place: int, position: Position) -> Sql:
    return _compared(order.columns[place], " < " if order.is_falling[place] else " > ", position[place])


def _compared(column: LiteralString, sign: LiteralString, value: str | int) -> Sql:
    return Sql(column + sign + "?", (value,))


# --- what is looked for --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sought:
    """Something that an index finds.

    Parameters
    ----------
    rows : Sql
        Selects the ids of the studies that meet it; some of them twice, perhaps.
    holds : Sql
        Says the same of a row of ``study``.
    """

    rows: Sql
    holds: Sql


@dataclass(frozen=True, slots=True)
class Asked:
    """All that a query and a scope ask.

    Parameters
    ----------
    looked_up : tuple of Sought
        What an index finds.
    columns : tuple of Sql
        What narrows the order that is wanted, as a range of it.
    """

    looked_up: tuple[Sought, ...]
    columns: tuple[Sql, ...]


_PATIENT_NAME: Final = tags.key(tags.PatientName)
_STUDY_DATE: Final = tags.key(tags.StudyDate)
_MODALITIES: Final = tags.key(tags.ModalitiesInStudy)
_STUDY_UID: Final = tags.key(tags.StudyInstanceUID)
_AFTER_DAY: Final = "~"

_TEXTS: Final[dict[int, LiteralString]] = {tags.PatientName: "study_word", tags.StudyDescription: "study_term"}
"""Where the words of texts are."""

_BY_UID: Final = "sqlite_autoindex_study_1"

_IDENTIFIERS: Final[dict[int, tuple[LiteralString, LiteralString]]] = {
    tags.PatientID: ("study.patient_id_form", "study_by_patient_id_form"),
    tags.AccessionNumber: ("study.accession_number", "study_by_accession"),
    tags.StudyInstanceUID: ("study.study_uid", _BY_UID),
}
"""Columns, and their indexes."""


There = Callable[[Sought], bool]


def sought(query: Query, scope: Scope, *, near: Near, there: There, is_by_date: bool) -> Asked:
    """Give what a query and a scope ask.

    Parameters
    ----------
    query : Query
        What is asked.
    scope : Scope
        Of the permit. It narrows here, where it can; it is said in full by whoever asks.
    near : callable
        Gives the words in the index that are near to one.
    there : callable
        Says whether something is found at all.
    is_by_date : bool
        Whether the order begins with the date.

    Raises
    ------
    Unsupported
    """
    found: list[Sought] = []
    columns: list[Sql] = []
    for words in query.words:
        found += _words(words, there)
    for tag, key in query.keys.items():
        if asks_nothing(key):
            continue
        match tag, key:
            case str(), Fuzzy(names) if tag == _PATIENT_NAME:
                found.append(_any([_near(wanted, near) for wanted in names]))
            case str(), Range("DA", low, high) if tag == _STUDY_DATE:
                columns += _between(low, high)
            case str(), Single(values) | UidList(values) if tag == _MODALITIES:
                one = one_of("series.modality", set(values))
                found.append(_related("series", one))
            case str(), Single(values) | UidList(values) if tag == _STUDY_UID:
                found.append(_of_study(one_of("study.study_uid", set(values)), _BY_UID))
            case _:
                raise Unsupported("A list of studies is not asked about this attribute.")
    narrowing = _of_scope(scope)
    if narrowing is not None:
        found.append(narrowing)
    if columns and not is_by_date:
        found.append(_of_study(all_of(columns), "study_by_newest"))
        columns = []
    return Asked(tuple(found), tuple(columns))


def _words(words: Words, there: There) -> list[Sought]:
    """Give what has to hold, all of it."""
    tables: list[LiteralString] = [_TEXTS[tag] for tag in sorted(words.texts)]
    in_texts = [[_related(table, _beginning(table, each)) for each in words.words] for table in tables]
    if len(in_texts) == 1 and in_texts[0] and not words.identifiers:
        return in_texts[0]  # each by itself: the scarcest is looked up first
    alternatives = [_all(each) for each in in_texts if each]
    if words.beginning:
        for column, index in (_IDENTIFIERS[tag] for tag in sorted(words.identifiers)):
            alternatives.append(_of_study(begins(column, words.beginning), index))
    # Where nothing begins so, no row need be looked at for it: that of a number would have to be read.
    return [_any([each for each in alternatives if there(each)])]


def _beginning(table: LiteralString, word: str) -> Sql:
    return begins(table + ".word", word)


def _near(wanted: Sequence[str], near: Near) -> Sought:
    found: list[Sought] = []
    for word in wanted:
        words = near(word)
        one = _beginning("study_word", word) if words is None else one_of("study_word.word", words)
        found.append(_related("study_word", one))
    return _all(found)


def _of_study(condition: Sql, index: LiteralString) -> Sought:
    """Something that a column of the study says, and which index finds it: else all might be read to save sorting."""
    return Sought(
        Sql("SELECT study.id FROM study INDEXED BY " + index + " WHERE " + condition.text, condition.values), condition
    )


def _related(table: LiteralString, condition: Sql) -> Sought:
    """Something that a row beside the study says."""
    return Sought(
        Sql("SELECT " + table + ".study_id FROM " + table + " WHERE " + condition.text, condition.values),
        Sql(
            "EXISTS (SELECT 1 FROM " + table + " WHERE " + table + ".study_id = study.id AND (" + condition.text + "))",
            condition.values,
        ),
    )


def _any(alternatives: Sequence[Sought]) -> Sought:
    """One of some; nothing where there is none."""
    if not alternatives:
        return Sought(Sql("SELECT study.id FROM study WHERE FALSE"), NOTHING)
    if len(alternatives) == 1:
        return alternatives[0]
    text: LiteralString = " UNION ALL ".join(["SELECT * FROM (" + each.rows.text + ")" for each in alternatives])
    values = tuple(value for each in alternatives for value in each.rows.values)
    return Sought(Sql(text, values), any_of(each.holds for each in alternatives))


def _all(conditions: Sequence[Sought]) -> Sought:
    """All of some."""
    if len(conditions) == 1:
        return conditions[0]
    text: LiteralString = " INTERSECT ".join(["SELECT * FROM (" + each.rows.text + ")" for each in conditions])
    values = tuple(value for each in conditions for value in each.rows.values)
    return Sought(Sql(text, values), all_of(each.holds for each in conditions))


def _between(low: str, high: str) -> list[Sql]:
    """Say that a study is of some days, by the column that orders have too."""
    bounds = [Sql("study.newest >= ?", (low,)) if low else Sql("study.newest > ''")]
    if high:
        bounds.append(Sql("study.newest < ?", (high + _AFTER_DAY,)))
    return bounds


# --- the scope ----------------------------------------------------------------


def _of_scope(scope: Scope) -> Sought | None:
    """Give what a scope leaves, where indexes find it; None for one that covers everything."""
    if Clause() in scope.clauses:
        return None
    clauses = sorted(scope.clauses, key=lambda clause: sorted(each.field.value for each in clause))
    return Sought(_any([_of_clause(clause) for clause in clauses]).rows, where(scope))


def _of_clause(clause: Clause) -> Sought:
    # One that narrows is enough here: the whole scope is said beside it. No index finds an issuer.
    return _of_condition(min(clause, key=lambda each: (each.field is Field.ISSUER, list(Field).index(each.field))))


def _of_condition(condition: Condition) -> Sought:
    match condition.field:
        case Field.STUDY:
            return _of_study(one_of("study.study_uid", condition.values), _BY_UID)
        case Field.PATIENT:
            return _of_study(one_of("study.patient_id", condition.values), "study_by_patient_id")
        case Field.ISSUER:  # alone it is in no scope that can be written; beside a patient that one narrows
            met = one_of("study.issuer_of_patient_id", condition.values)
            return Sought(Sql("SELECT study.id FROM study WHERE " + met.text, met.values), met)
        case Field.SOURCE:
            return _related("study_source", one_of("study_source.source", condition.values))
        case Field.LABEL:
            return _related("study_label", one_of("study_label.label", condition.values))
        case Field.REFERRER:
            return _related("study_referrer", one_of("study_referrer.form", condition.values))
        case _ as never:
            assert_never(never)
