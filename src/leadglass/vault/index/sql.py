"""SQL in pieces: text that we wrote, and the values that are bound in it.

Rule: a piece's text is a literal of this program, and the type checker holds us
to it (``LiteralString``, PEP 675); what comes from a request, a data set or an
enrolment is a bound value and nothing else.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

import msgspec

from leadglass.crypto.database import driver

Value = str | int | bytes | None


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL.

    Parameters
    ----------
    text : str
        With a question mark for each value.
    values : tuple
        What is bound, in the order of the text.
    """

    text: LiteralString
    values: tuple[Value, ...] = ()


NOTHING: Final = Sql("FALSE")
EVERYTHING: Final = Sql("TRUE")


def ask(connection: "driver.Connection", text: LiteralString, values: Sequence[Value] = ()) -> "driver.Cursor":
    """Run a statement; the text is ours, the values may be anybody's."""
    return connection.execute(text, values)


def all_of(conditions: Iterable[Sql]) -> Sql:
    """Give the condition that holds where all do; without any it always holds."""
    return _joined(" AND ", tuple(conditions), EVERYTHING)


def any_of(conditions: Iterable[Sql]) -> Sql:
    """Give the condition that holds where one does; without any it never holds."""
    return _joined(" OR ", tuple(conditions), NOTHING)


def one_of(column: LiteralString, values: Collection[str] | Collection[int]) -> Sql:
    """Say that a column has one of some values, with one bound parameter however many there are."""
    if len(values) == 1:
        return Sql(column + " = ?", tuple(values))
    return Sql(column + " IN (SELECT value FROM json_each(?))", (msgspec.json.encode(sorted(values)).decode(),))


def _joined(word: LiteralString, conditions: tuple[Sql, ...], of_none: Sql) -> Sql:
    match conditions:
        case ():
            return of_none
        case (alone,):
            return alone
        case _:
            text = word.join([_bracketed(each.text) for each in conditions])
            return Sql(text, tuple(value for each in conditions for value in each.values))


def _bracketed(text: LiteralString) -> LiteralString:
    return "(" + text + ")"
