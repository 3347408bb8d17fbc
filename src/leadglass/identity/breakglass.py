"""Break-glass: a study outside of somebody's scope, opened in an emergency, at once and for a short time.

Rule 1. It needs a reason and raises an alert before anything opens. Rule 2. It
ends by itself, and with the account. Rule 3. It stays on a list until somebody
else, an auditor or administrator, has reviewed it. Rule 4. The reason may name
what an emergency names, so it is kept here, sealed, and not in the audit log.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from leadglass.audit.decision import decide_on_record
from leadglass.audit.event import Outcome
from leadglass.audit.record import escape
from leadglass.errors import BadInput, Conflict, Denied, NotHere, Throttled
from leadglass.identity.people_store import PeopleStore
from leadglass.identity.person import Person
from leadglass.identity.store import from_stored, to_stored
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind, Grant
from leadglass.policy.permit import decide
from leadglass.policy.roles import Role, may_break_glass
from leadglass.policy.scope import Field
from leadglass.policy.scope_words import parse_scope, write_scope
from leadglass.policy.view import View

if TYPE_CHECKING:
    from leadglass.crypto.database import driver

ACTION: Final = "break-glass"
"""The word in the audit log."""

MINUTES: Final = 30
"""How long it opens by itself."""

MOST_MINUTES: Final = 240
"""How long it opens at most: a shift's emergency, not a habit."""

LEAST_REASON: Final = 8
"""Characters of a reason."""

MOST_REASON: Final = 500

MOST_OPEN: Final = 5
"""Open at a time for one person: whoever needs more needs another scope."""

_COLUMNS: Final = "SELECT number, name, field, value, reason, made, until, peer, reviewed, reviewer, note FROM glass"

_FIELDS: Final = (Field.STUDY, Field.PATIENT)

_BETWEEN: Final = "\\"


@dataclass(frozen=True, slots=True)
class Glass:
    """One time that glass was broken.

    Parameters
    ----------
    number : int
        Its number.
    name : str
        Who did it.
    field : Field
        ``STUDY`` or ``PATIENT``.
    value : str
        Which.
    issuer : str
        Of a Patient ID: who issued it, as scopes name it; empty for one whose studies name none.
    reason : str
        Why, in that person's words.
    made, until : datetime
        From when to when it was open (UTC).
    peer : str
        From where.
    reviewed : datetime, optional
        When somebody else looked at it.
    reviewer : str
        Who did.
    note : str
        What they said.
    """

    number: int
    name: str
    field: Field
    value: str
    reason: str
    made: datetime
    until: datetime
    peer: str
    reviewed: datetime | None = None
    reviewer: str = ""
    note: str = ""
    issuer: str = ""

    @property
    def word(self) -> str:
        """What was opened, as a scope says it."""
        return _word(self.field, self.issuer, self.value)


Glasses = list[Glass]


class BreakGlass:
    """Opens studies in an emergency, and keeps the list of what is to be reviewed.

    Parameters
    ----------
    store : PeopleStore
        Where it is kept.
    """

    def __init__(self, store: PeopleStore) -> None:
        self._store = store

    def open(self, caller: Caller, word: str, reason: str, *, minutes: int = MINUTES) -> Glass:
        """Open one study, or the studies of one patient, for the caller's next requests.

        Parameters
        ----------
        caller : Caller
            Who asks: a person who works with images.
        word : str
            ``study=UID``, ``patient=ID`` or ``patient@ISSUER=ID``.
        reason : str
            Why.
        minutes : int
            For how long.

        Raises
        ------
        Denied
            When the caller is none who may.
        BadInput
        Throttled
            When too many are open.
        """
        field, issuer, value = _parse(word)
        reason = " ".join(reason.split())
        if not LEAST_REASON <= len(reason) <= MOST_REASON or len(set(reason)) < 4:
            raise BadInput(f"Say in {LEAST_REASON} to {MOST_REASON} characters what the emergency is.")
        if not 1 <= minutes <= MOST_MINUTES:
            raise BadInput(f"It opens for 1 to {MOST_MINUTES} minutes.")
        study_uid = value if field is Field.STUDY else ""
        if (refusal := self._refusal(caller)) is not None:
            self._store.record(caller, Outcome.REFUSED, ACTION, refusal, study_uid=study_uid)
            raise Denied(refusal)
        now = self._store.now
        until = now + timedelta(minutes=minutes)
        with self._store.writing() as connection:
            busy = connection.execute(
                "SELECT count(*), min(until) FROM glass WHERE name = ? AND until > ?", (caller.name, to_stored(now))
            ).fetchone()
            if busy[0] >= MOST_OPEN:
                wait = (from_stored(busy[1]) - now).total_seconds()
                raise Throttled(
                    f"{MOST_OPEN} are open already. Wait until one ends, or ask an administrator for another scope.",
                    max(1.0, wait),
                )
            number = connection.execute(
                "INSERT INTO glass (name, field, value, reason, made, until, peer) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (caller.name, field.value, _kept(value, issuer), reason, to_stored(now), to_stored(until), caller.peer),
            ).lastrowid
            # Inside the transaction: what is not on record is not open.
            self._store.record(
                caller,
                Outcome.ALERT,
                ACTION,
                f"{caller.name} opened {'a study' if study_uid else 'the studies of one patient'} in an emergency "
                f"for {minutes} minutes; somebody else has to review it",
                study_uid=study_uid,
                detail={"number": number or 0, "minutes": minutes},
            )
        return Glass(number or 0, caller.name, field, value, reason, now, until, caller.peer, issuer=issuer)

    def list(self, caller: Caller, *, reviewed: bool = False) -> "Glasses":
        """Give what is to be reviewed, oldest first; or everything, newest first.

        Raises
        ------
        Denied
            When the caller neither reads the audit log nor manages.
        """
        decide_on_record(
            self._store.audit.append, caller, _reviewing(caller), door=self._store.door, detail={"list": ACTION}
        )
        where = "ORDER BY number DESC LIMIT 1000" if reviewed else "WHERE reviewed IS NULL ORDER BY number"
        return self._select(where)

    def may_open(self, caller: Caller) -> bool:
        """Say whether a caller is one who may open anything in an emergency."""
        return self._refusal(caller) is None

    def mine(self, caller: Caller) -> "Glasses":
        """Give what the caller has open."""
        if caller.kind is not CallerKind.PERSON:
            return []
        return self._select("WHERE name = ? AND until > ? ORDER BY number", caller.name, to_stored(self._store.now))

    def waiting(self) -> int:
        """Say how many are to be reviewed."""
        with self._store.reading() as connection:
            return connection.execute("SELECT count(*) FROM glass WHERE reviewed IS NULL").fetchone()[0]

    def review(self, caller: Caller, number: int, note: str = "") -> Glass:
        """Mark one as reviewed.

        Raises
        ------
        Denied
            When the caller is none who may, or it is the caller's own.
        NotHere
        Conflict
            When somebody has reviewed it already.
        """
        note = " ".join(note.split())[:MOST_REASON]
        said = {"review": number}
        decide_on_record(
            self._store.audit.append, caller, _reviewing(caller), door=self._store.door, detail=said, yes=False
        )
        with self._store.writing() as connection:
            row = connection.execute("SELECT name, reviewed FROM glass WHERE number = ?", (number,)).fetchone()
            if row is None:
                raise NotHere(f"There is no number {number}. See: leadglass breakglass list")
            if caller.kind is CallerKind.PERSON and row[0] == caller.name:
                refusal = "Nobody reviews what they did themselves."
                self._store.record(caller, Outcome.REFUSED, ACTION, refusal, detail=said)
                raise Denied(refusal)
            if row[1] is not None:
                raise Conflict(f"Number {number} was reviewed already.")
            self._store.record(
                caller, Outcome.DONE, ACTION, f"what {row[0]} opened in an emergency was reviewed", detail=said
            )
            connection.execute(
                "UPDATE glass SET reviewed = ?, reviewer = ?, note = ? WHERE number = ?",
                (to_stored(self._store.now), str(caller), note, number),
            )
        return self._select("WHERE number = ?", number)[0]

    def _refusal(self, caller: Caller) -> str | None:
        """Say why a caller may not; None when it may."""
        if caller.kind is not CallerKind.PERSON:
            return "Only a person who is signed in breaks glass."
        with self._store.reading() as connection:
            row = connection.execute("SELECT role FROM person WHERE name = ?", (caller.name,)).fetchone()
        if row is None or not may_break_glass(Role(row[0])):
            return "This role does not treat patients, so it opens nothing in an emergency."
        return None

    def _select(self, where: str, *values: str | int) -> "Glasses":
        with self._store.reading() as connection:
            rows = connection.execute(f"{_COLUMNS} {where}", values).fetchall()
        return [_glass(row) for row in rows]


def end_open(connection: "driver.Connection", name: str, now: datetime) -> None:
    """End what somebody has open, with the account: whoever bears the name next has opened nothing."""
    connection.execute(
        "UPDATE glass SET until = ? WHERE name = ? AND until > ?", (to_stored(now), name, to_stored(now))
    )


def open_grants(connection: "driver.Connection", person: Person, now: datetime) -> tuple[Grant, ...]:
    """Give the rights that a person has because glass is broken."""
    if not may_break_glass(person.role):
        return ()
    rows = connection.execute(
        "SELECT number, field, value, until FROM glass WHERE name = ? AND until > ?", (person.name, to_stored(now))
    ).fetchall()
    return tuple(
        Grant(
            frozenset({Action.FIND, Action.GET}),
            parse_scope([_word(Field(field), *reversed(_found(value)))]),
            View.full(),
            f"break-glass {number} until {until[:16].replace('T', ' ')} UTC",
        )
        for number, field, value, until in rows
    )


def _parse(word: str) -> tuple[Field, str, str]:
    """Read what is to be opened: one study, or one patient; gives the field, the issuer and the value."""
    written = "".join(write_scope(parse_scope([word])))
    name, _, value = written.partition("=")
    name, _, issuer = name.partition("@")
    if name not in _FIELDS:
        raise BadInput("Name what is needed: study=UID, patient=ID, or patient@ISSUER=ID.")
    if _BETWEEN in value or _BETWEEN in issuer:
        raise BadInput("A Patient ID holds no backslash, and its issuer none.")
    return Field(name), issuer, value


def _word(field: Field, issuer: str, value: str) -> str:
    return f"{field}@{issuer}={value}" if issuer else f"{field}={value}"


def _kept(value: str, issuer: str) -> str:
    """Write value and issuer into one column; neither holds a backslash (PS3.5 section 6.2, LO)."""
    return f"{value}{_BETWEEN}{issuer}" if issuer else value


def _found(kept: str) -> tuple[str, str]:
    """Give value and issuer."""
    value, _, issuer = kept.partition(_BETWEEN)
    return value, issuer


def _reviewing(caller: Caller) -> Action:
    """Give the right by which a caller may review, or the one it lacks."""
    try:
        decide(caller, Action.AUDIT)
    except Denied:
        return Action.MANAGE
    return Action.AUDIT


_Row = tuple[int, str, str, str, str, str, str, str, str | None, str | None, str]


def _glass(row: _Row) -> Glass:
    number, name, field, kept, reason, made, until, peer, reviewed, reviewer, note = row
    value, issuer = _found(kept)
    return Glass(
        number,
        name,
        Field(field),
        value,
        reason,
        from_stored(made),
        from_stored(until),
        peer,
        None if reviewed is None else from_stored(reviewed),
        reviewer or "",
        note,
        issuer,
    )


def describe(glass: Glass) -> str:
    """Say what was opened, for people who may know."""
    return escape(glass.word)
