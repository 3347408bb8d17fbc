"""People: the accounts of an archive, and the Caller each of them is.

Rule 1. What is changed here is permitted and recorded first; who may not manage
does not even learn which accounts there are. Rule 2. Whoever is locked, reset or
given another role is so at once: its sessions end, and rights are read anew for
each request. Rule 3. An account that somebody else vouches for (an OpenID
provider) never takes over one of ours. Rule 4. Nobody changes what they may do
themselves, and whoever comes over the network leaves one administrator at least
who can sign in; at the archive's own machine everything can be put right.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

from leadglass.audit.decision import decide_on_record, failing_on_record
from leadglass.audit.event import Outcome
from leadglass.audit.record import escape
from leadglass.errors import BadInput, Conflict, Denied, NotHere
from leadglass.identity.breakglass import end_open, open_grants
from leadglass.identity.passwords import Hash, Passwords, require_good
from leadglass.identity.people_store import PeopleStore
from leadglass.identity.person import Person, parse_name
from leadglass.identity.store import from_stored, to_stored
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind
from leadglass.policy.roles import NEEDS_NO_IMAGES, Role, grants_of, own_scope
from leadglass.policy.scope import Scope
from leadglass.policy.scope_words import parse_scope, write_scope

if TYPE_CHECKING:
    from leadglass.crypto.database import driver

_PEOPLE: Final = """
    SELECT p.name, p.role, p.scope, p.made, p.is_locked, p.origin, p.epoch,
        EXISTS (SELECT 1 FROM password w WHERE w.name = p.name),
        EXISTS (SELECT 1 FROM totp t WHERE t.name = p.name AND t.is_confirmed)
    FROM person p
"""


class People:
    """The accounts of one archive.

    Parameters
    ----------
    store : PeopleStore
        Where they are kept.
    passwords : Passwords
        What hashes.
    """

    def __init__(self, store: PeopleStore, passwords: Passwords) -> None:
        self._store = store
        self._passwords = passwords

    @property
    def changes(self) -> int:
        """A number that changes whenever an account does, whoever changes it."""
        return self._store.changes

    # --- asking ---------------------------------------------------------------

    def find(self, name: str) -> Person | None:
        """Give an account, or None when there is none of this name."""
        with self._store.reading() as connection:
            return find(connection, name)

    def get(self, name: str) -> Person:
        """Give an account.

        Raises
        ------
        NotHere
        """
        person = self.find(name.strip().lower())
        if person is None:
            raise NotHere(f"No account is called {escape(name[:64])}. See: leadglass user list")
        return person

    def list(self) -> list[Person]:
        """Give all accounts, by name."""
        with self._store.reading() as connection:
            rows = connection.execute(f"{_PEOPLE} ORDER BY p.name").fetchall()
        return [_person(row) for row in rows]

    def caller_of(self, person: Person, peer: str, evidence: str, session: str | None = None) -> Caller:
        """Give the caller that a person is, with the rights of now.

        Parameters
        ----------
        person : Person
            Whose identity was proven.
        peer : str
            Where it speaks from.
        evidence : str
            What proved it, in words (no secret).
        session : str, optional
            Id that joins its audit records; by default a new one.

        Raises
        ------
        Denied
            When the account is locked.
        """
        with self._store.reading() as connection:
            return caller_of(connection, person, peer, evidence, session, self._store.now)

    # --- changing -------------------------------------------------------------

    def add(
        self,
        caller: Caller,
        name: str,
        role: Role,
        scope: Scope | None = None,
        *,
        password: str | None = None,
        origin: str = "",
    ) -> Person:
        """Make an account.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``MANAGE``.
        name : str
            What it is called.
        role : Role
            What kind of work it is for.
        scope : Scope, optional
            On which studies; by default what the role covers by itself.
        password : str, optional
            Its password. Without one nobody can sign in until a set-up link was used.
        origin : str
            Who vouches for the identity elsewhere.

        Raises
        ------
        Denied, BadInput
        Conflict
            When there is one of this name.
        """
        name = parse_name(name)
        person = Person(name, role, _scope(role, scope), self._store.now, origin=origin)
        hashed = None if password is None else self._hash(password, name)
        with self._changing(caller, "add", name, **_described(person)) as connection:
            if find(connection, name) is not None:
                raise Conflict(f"There is an account called {name} already. See: leadglass user role, and: user reset")
            connection.execute(
                "INSERT INTO person (name, role, scope, origin, made) VALUES (?, ?, ?, ?, ?)",
                (name, role.value, _kept(person.scope), origin, to_stored(person.made)),
            )
            if hashed is not None:
                keep_password(connection, name, hashed, self._store.now)
        return self.get(name)

    def ensure(self, caller: Caller, name: str, role: Role, scope: Scope | None = None, *, origin: str) -> Person:
        """Give the account that somebody else vouches for, made or changed to what they say.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``MANAGE``.
        origin : str
            Who vouches. An account with another origin is not touched.

        Raises
        ------
        Denied, BadInput
        Conflict
            When the name belongs to an account of another origin.
        """
        if not origin:
            raise BadInput("An account that is vouched for elsewhere needs to say by whom.")
        name = parse_name(name)
        there = self.find(name)
        if there is None:
            return self.add(caller, name, role, scope, origin=origin)
        if there.origin != origin:
            raise Conflict(f"There is an account called {name} already, and it is not one of this provider's.")
        if there.role is not role or there.scope != _scope(role, scope):
            self.set_role(caller, name, role, scope)
        return self.get(name)

    def set_role(self, caller: Caller, name: str, role: Role, scope: Scope | None = None) -> Person:
        """Change what an account may do; its sessions go on with the new rights.

        Raises
        ------
        Denied, NotHere, BadInput
        Conflict
            When it is the caller's own, or no other administrator is left; so for ``lock``, ``remove`` and ``reset``.
        """
        person = self._of(caller, "role", name)
        scope = _scope(role, scope)
        said = _described(Person(person.name, role, scope, person.made))
        with self._changing(caller, "role", person.name, **said, before=person.role.value) as connection:
            if role is not Role.ADMIN:
                _require_another(connection, caller, person.name)
            connection.execute(
                "UPDATE person SET role = ?, scope = ? WHERE name = ?", (role.value, _kept(scope), person.name)
            )
        return self.get(name)

    def lock(self, caller: Caller, name: str) -> None:
        """Shut an account; its sessions and links end.

        Raises
        ------
        Denied, NotHere
        """
        person = self._of(caller, "lock", name)
        with self._changing(caller, "lock", person.name) as connection:
            _require_another(connection, caller, person.name)
            connection.execute("UPDATE person SET is_locked = 1 WHERE name = ?", (person.name,))
            end_everything(connection, person.name)
            end_open(connection, person.name, self._store.now)

    def unlock(self, caller: Caller, name: str) -> None:
        """Open an account again.

        Raises
        ------
        Denied, NotHere
        """
        person = self._of(caller, "unlock", name)
        with self._changing(caller, "unlock", person.name) as connection:
            connection.execute("UPDATE person SET is_locked = 0 WHERE name = ?", (person.name,))

    def remove(self, caller: Caller, name: str) -> None:
        """Remove an account; what it did stays on record.

        Raises
        ------
        Denied, NotHere
        """
        person = self._of(caller, "remove", name)
        with self._changing(caller, "remove", person.name) as connection:
            _require_another(connection, caller, person.name)
            connection.execute("DELETE FROM person WHERE name = ?", (person.name,))
            end_open(connection, person.name, self._store.now)

    def reset(self, caller: Caller, name: str) -> Person:
        """Take away everything that proved an account: password, second factor, sessions, links.

        Raises
        ------
        Denied, NotHere
        """
        person = self._of(caller, "reset", name)
        with self._changing(caller, "reset", person.name) as connection:
            _require_another(connection, caller, person.name)
            connection.execute("UPDATE person SET epoch = epoch + 1 WHERE name = ?", (person.name,))
            connection.execute("DELETE FROM password WHERE name = ?", (person.name,))
            connection.execute("DELETE FROM totp WHERE name = ?", (person.name,))
            connection.execute("DELETE FROM recovery WHERE name = ?", (person.name,))
            end_everything(connection, person.name)
            end_open(connection, person.name, self._store.now)
        return self.get(name)

    def set_password(self, caller: Caller, name: str, password: str) -> None:
        """Set a password for somebody; sessions and links end.

        Raises
        ------
        Denied, NotHere, BadInput
        """
        person = self._of(caller, "password", name)
        if person.origin:
            raise BadInput(f"{person.name} signs in by a provider, and has no password here.")
        hashed = self._hash(password, person.name)
        with self._changing(caller, "password", person.name) as connection:
            keep_password(connection, person.name, hashed, self._store.now)
            end_everything(connection, person.name)

    def _hash(self, password: str, name: str) -> Hash:
        return self._passwords.hash(require_good(password, name))

    def _of(self, caller: Caller, change: str, name: str) -> Person:
        """Give the account that is to be changed, to who may change any and does not mean themselves."""
        said = {"change": change, "account": name}
        record, door = self._store.audit.append, self._store.door
        decide_on_record(record, caller, Action.MANAGE, door=door, detail=said, yes=False)
        person = self.get(name)
        if caller.kind is CallerKind.PERSON and caller.name == person.name:
            reason = f"{person.name} asked to change their own account: somebody else has to."
            self._store.record(caller, Outcome.REFUSED, Action.MANAGE, reason, detail=said)
            raise Conflict("Your own account is changed by another administrator: nobody gives themselves rights.")
        return person

    @contextmanager
    def _changing(self, caller: Caller, change: str, name: str, **detail: str | int) -> "Generator[driver.Connection]":
        """Decide, record, then change in one transaction; what fails is recorded too."""
        said = {"change": change, "account": name, **detail}
        decide_on_record(self._store.audit.append, caller, Action.MANAGE, door=self._store.door, detail=said)
        failing = failing_on_record(self._store.audit.append, caller, Action.MANAGE, door=self._store.door, detail=said)
        with failing, self._store.writing() as connection:
            yield connection


# --- the same, for who holds a connection already ------------------------------------


def find(connection: "driver.Connection", name: str) -> Person | None:
    """Give an account, or None when there is none of this name."""
    row = connection.execute(f"{_PEOPLE} WHERE p.name = ?", (name,)).fetchone()
    return None if row is None else _person(row)


def caller_of(
    connection: "driver.Connection", person: Person, peer: str, evidence: str, session: str | None, now: datetime
) -> Caller:
    """Give the caller that a person is, as ``People.caller_of``."""
    if person.is_locked:
        raise Denied(f"The account {person.name} is locked.")
    grants = grants_of(person.role, person.scope) + open_grants(connection, person, now)
    if session is None:
        return Caller(CallerKind.PERSON, person.name, grants, peer, evidence)
    return Caller(CallerKind.PERSON, person.name, grants, peer, evidence, session)


def keep_password(connection: "driver.Connection", name: str, hashed: Hash, now: datetime) -> None:
    """Keep a password, in the place of any before."""
    cost = hashed.stretch.cost
    connection.execute(
        "INSERT OR REPLACE INTO password VALUES (?, ?, ?, ?, ?, ?, ?)",
        (name, hashed.stretch.salt, hashed.value, cost.memory_kib, cost.passes, cost.lanes, to_stored(now)),
    )


def has_password(connection: "driver.Connection", name: str, value: bytes) -> bool:
    """Say whether what is kept of somebody's password is (still) this."""
    row = connection.execute("SELECT hash FROM password WHERE name = ?", (name,)).fetchone()
    return row is not None and bytes(row[0]) == value


def end_everything(connection: "driver.Connection", name: str, *, but: str = "") -> None:
    """End the sessions and links of an account.

    Parameters
    ----------
    but : str
        Id of a session that goes on.
    """
    connection.execute("DELETE FROM session WHERE name = ? AND id <> ?", (name, but))
    connection.execute("DELETE FROM link WHERE name = ?", (name,))


def _require_another(connection: "driver.Connection", caller: Caller, name: str) -> None:
    """Refuse to let the last administrator go who can sign in, unless at the archive's own machine or by a provider."""
    if caller.kind in {CallerKind.COMMAND_LINE, CallerKind.PROVIDER}:
        return
    left = connection.execute(
        "SELECT count(*) FILTER (WHERE name <> ?), count(*) FILTER (WHERE name = ?) FROM person p "
        "WHERE role = ? AND NOT is_locked "
        "AND (origin <> '' OR EXISTS (SELECT 1 FROM password w WHERE w.name = p.name))",
        (name, name, Role.ADMIN.value),
    ).fetchone()
    if left[1] and not left[0]:
        raise Conflict(
            f"{name} is the last administrator who can sign in. Make another one first, who chooses a password; "
            "or do it at the archive's own machine: leadglass user"
        )


def _scope(role: Role, scope: Scope | None) -> Scope:
    """Give the scope that counts, and refuse one that says nothing."""
    if scope is None:
        return own_scope(role)
    if role in NEEDS_NO_IMAGES and scope != Scope.everything():
        raise BadInput(f"The role {role} sees no images, so a scope says nothing. Leave it away.")
    return scope


def _kept(scope: Scope) -> str:
    return "\n".join(write_scope(scope))


_Row = tuple[str, str, str, str, int, str, int, int, int]


def _person(row: _Row) -> Person:
    name, role, scope, made, is_locked, origin, epoch, has_password, has_totp = row
    return Person(
        name=name,
        role=Role(role),
        scope=parse_scope(scope.splitlines()),
        made=from_stored(made),
        is_locked=bool(is_locked),
        origin=origin,
        epoch=epoch,
        has_password=bool(has_password),
        has_totp=bool(has_totp),
    )


def _described(person: Person) -> dict[str, str | int]:
    """Say an account in the words of the audit log, without naming patients."""
    said: dict[str, str | int] = {"role": person.role.value}
    if person.role not in NEEDS_NO_IMAGES:
        said["scope"] = person.scope.explain()
    if person.origin:
        said["origin"] = person.origin
    return said
