"""Visits: links opened, and who is looking by one right now.

Rule 1. Whoever has no right link hears one answer, whatever the reason. Rule 2. A
code is looked at only beside the right link: so nobody can end somebody else's
link by guessing, nor learn that it asks for one. Guesses are counted one after the
other, however many come at a time. Rule 3. A visit has the link's rights of now,
which are never more than its maker's of now. Rule 4. What was opened is on record
before anything is shown.
"""

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

from leadglass.audit.event import Event, Outcome
from leadglass.audit.refusals import Refusals
from leadglass.errors import Denied, NotHere, Throttled
from leadglass.identity import secret_text, share_store
from leadglass.identity.held import Held, Known
from leadglass.identity.os_user import command_line_caller
from leadglass.identity.people import People
from leadglass.identity.share import Share, ShareLock, rights_of
from leadglass.identity.share_store import ShareStore
from leadglass.identity.shares import WRONG_PINS, code_digest
from leadglass.identity.shares import digest as share_digest
from leadglass.identity.store import from_stored, to_stored
from leadglass.policy.caller import Caller, CallerKind

if TYPE_CHECKING:
    from leadglass.crypto.database import driver

CLOSED: Final = "This link does not open anything any more. Ask whoever sent it."
"""What everybody hears who has no link that counts."""

IDLE: Final = timedelta(minutes=30)
"""How long nothing may be asked: as long as somebody who signed in."""

LONGEST: Final = timedelta(hours=12)
"""How long a visit lasts whatever is asked; the link opens another one."""

MOST_VISITS: Final = 50
"""Visits of one link at a time; the one that was idle longest makes room."""

FREE: Final = 2
"""Wrong codes that cost no time."""

FIRST_WAIT: Final = timedelta(seconds=10)
"""How long to wait after the next one; then twice as long each time."""

_ROUNDING: Final = timedelta(seconds=1)
"""What the time of a link is cut by."""

_DOOR: Final = "web"


class Issuers(Protocol):
    """Who makes links, with the rights of now."""

    @property
    def changes(self) -> int:
        """A number that changes whenever somebody's rights do."""
        ...

    def of(self, share: Share) -> Caller | None:
        """Give who made a link, with the rights of now; None when there is nobody any more."""
        ...


class PeopleWhoShare:
    """People of an archive, and its command line, as makers of links.

    Parameters
    ----------
    people : People
        The accounts.
    """

    def __init__(self, people: People) -> None:
        self._people = people

    @property
    def changes(self) -> int:
        """A number that changes whenever an account does."""
        return self._people.changes

    def of(self, share: Share) -> Caller | None:
        """Give who made a link, with the rights of now; None when the account is locked or gone.

        An account that is younger than the link is another one of the same name.
        """
        kind, _, rest = share.issuer.partition(":")
        if kind == CallerKind.COMMAND_LINE:
            return command_line_caller()
        if kind != CallerKind.PERSON:
            return None
        person = self._people.find(rest)
        if person is None or person.is_locked or person.made > share.made + _ROUNDING:
            return None
        return self._people.caller_of(person, "nowhere", "made a link")


@dataclass(frozen=True, slots=True)
class Asks:
    """The right link, which asks for a code besides."""

    lock: ShareLock


@dataclass(frozen=True, slots=True)
class OpenedShare:
    """A link that is open, with the secret of the visit, which is nowhere else."""

    share: Share
    secret: str = field(repr=False)


class Visits:
    """The visits of one archive. Safe for threads.

    Parameters
    ----------
    store : ShareStore
        Where they are kept.
    issuers : Issuers
        Who makes links.
    refusals : Refusals
        Where those are recorded who have no link that counts.
    idle, longest : timedelta
        How long nothing may be asked, and how long one lasts.
    wrong_pins : int
        Wrong codes at which a link ends.
    """

    def __init__(
        self,
        store: ShareStore,
        issuers: Issuers,
        refusals: Refusals,
        *,
        idle: timedelta = IDLE,
        longest: timedelta = LONGEST,
        wrong_pins: int = WRONG_PINS,
    ) -> None:
        self._store = store
        self._issuers = issuers
        self._refusals = refusals
        self._idle = idle
        self._longest = longest
        self._wrong_pins = wrong_pins
        self._held = Held(store, "visit", idle, lambda: (store.changes, issuers.changes), self._read)

    # --- opening ------------------------------------------------------------------

    def open(self, id: str, secret: str, code: str, peer: str) -> OpenedShare | Asks:  # noqa: A002 - what it is
        """Open a link.

        Parameters
        ----------
        id : str
            Its public name, as its address has it: hostile.
        secret : str
            What was behind the #: hostile.
        code : str
            The code; empty when none was asked for yet.
        peer : str
            From where.

        Returns
        -------
        OpenedShare or Asks
            ``Asks`` when the link is right and a code is missing.

        Raises
        ------
        NotHere
            When it opens nothing; the reason is on record.
        Denied
            When the code is not right.
        Throttled
            When another code may be tried only later; none was looked at.
        """
        hashed = share_digest(secret)
        wrong, why = None, "A link was shown that this archive does not know."
        with self._store.reading() as connection:
            is_known = connection.execute("SELECT 1 FROM share WHERE hash = ?", (hashed,)).fetchone() is not None
        if not is_known:  # who guesses holds up nobody who writes
            self._refuse(peer, "no link", why)
            raise NotHere(CLOSED)
        with self._store.writing() as connection:
            row = connection.execute("SELECT id, code, wait_until FROM share WHERE hash = ?", (hashed,)).fetchone()
            share = None if row is None else share_store.find(connection, row[0])
            if row is not None and share is not None and share.id == id:
                why = self._why_closed(share)
                if not why:
                    answer = self._look(connection, share, row[1], row[2], secret, code, peer)
                    if not isinstance(answer, _Wrong):
                        return answer
                    wrong = answer
        # Outside of the transaction, which is to keep the count of wrong codes.
        if wrong is not None:
            self._refuse(peer, "wrong code", wrong.reason, is_alert=wrong.is_last)
            raise NotHere(CLOSED) if wrong.is_last else Denied(wrong.told)
        self._refuse(peer, "no link", why)
        raise NotHere(CLOSED)

    def _why_closed(self, share: Share) -> str:
        """Say why a link opens nothing; empty when it does."""
        if share.ended is not None:
            return f"The link {share.id} was shown; it was ended: {share.why_ended}."
        if not share.counts(self._store.now):
            return f"The link {share.id} was shown after its time."
        if share.lock is ShareLock.ONCE and not share.has_code:
            return f"The link {share.id} was shown; its code was used already."
        if not rights_of(share, self._issuers.of(share)):
            return f"The link {share.id} was shown; {share.issuer}, who made it, may not share this any more."
        return ""

    def _look(
        self,
        connection: "driver.Connection",
        share: Share,
        code: bytes | None,
        wait_until: str,
        secret: str,
        shown: str,
        peer: str,
    ) -> "OpenedShare | Asks | _Wrong":
        """Look at the code, where one is asked for; the one transaction there is keeps guesses in a row."""
        now = self._store.now
        if share.lock is not ShareLock.NONE:
            if not shown:
                return Asks(share.lock)
            if wait_until and from_stored(wait_until) > now:
                wait = (from_stored(wait_until) - now).total_seconds()
                raise Throttled(f"Another {share.lock.word} can be tried later.", max(1.0, wait))
            if code is None or not hmac.compare_digest(code_digest(secret, "".join(shown.split())[:32]), bytes(code)):
                return self._wrong(connection, share, peer)
            connection.execute(
                "UPDATE share SET wait_until = '', code = CASE lock WHEN 'once' THEN NULL ELSE code END WHERE id = ?",
                (share.id,),
            )
        return self._opened(connection, share, peer)

    def _wrong(self, connection: "driver.Connection", share: Share, peer: str) -> "_Wrong":
        wrong, now = share.wrong + 1, self._store.now
        wait = FIRST_WAIT * 2 ** (wrong - FREE - 1) if wrong > FREE else timedelta(0)
        connection.execute(
            "UPDATE share SET wrong = ?, wait_until = ? WHERE id = ?", (wrong, to_stored(now + wait), share.id)
        )
        if wrong >= self._wrong_pins:
            share_store.end(connection, share.id, f"too many wrong {share.lock.word}s", now)
            reason = (
                f"The link {share.id} was ended: {wrong} wrong {share.lock.word}s were shown, the last from {peer}."
            )
            return _Wrong(reason, "", is_last=True)
        told = f"That {share.lock.word} is not right."
        if wait:
            told += f" The next one can be tried in {round(wait.total_seconds())} seconds."
        left = self._wrong_pins - wrong
        told += f" After {left} more the link ends." if left <= 5 else ""
        return _Wrong(f"A wrong {share.lock.word} was shown with the link {share.id}.", told)

    def _opened(self, connection: "driver.Connection", share: Share, peer: str) -> OpenedShare:
        now, id_, secret = self._store.now, uuid4().hex, secret_text.make()
        until = min(now + self._longest, share.until)
        event = Event.of(
            self._caller(share, self._issuers.of(share), id_, peer),
            Outcome.PERMITTED,
            "signin",
            f"the link {share.id} was opened",
            door=_DOOR,
            detail={"evidence": f"link {share.id}", "asked for": share.lock.value},
        )
        # Inside the transaction: who is not on record is not let in.
        self._store.audit.append(event)
        connection.execute("DELETE FROM visit WHERE until <= ? OR seen <= ?", _over(now, self._idle))
        connection.execute(
            "DELETE FROM visit WHERE share = ? AND id NOT IN"
            " (SELECT id FROM visit WHERE share = ? ORDER BY seen DESC LIMIT ?)",
            (share.id, share.id, MOST_VISITS - 1),
        )
        moment = to_stored(now)
        connection.execute(
            "INSERT INTO visit VALUES (?, ?, ?, ?, ?, ?, ?)",
            (id_, digest(secret), share.id, moment, moment, to_stored(until), peer),
        )
        connection.execute("UPDATE share SET opened = ? WHERE id = ?", (moment, share.id))
        return OpenedShare(share, secret)

    # --- asking -------------------------------------------------------------------

    def known(self, secret: str, peer: str) -> Caller | None:
        """Give the caller of a visit from memory, as of now; None does not mean no: ask ``caller``."""
        return self._held.caller(digest(secret), peer)

    def caller(self, secret: str, peer: str, *, is_use: bool = True) -> Caller:
        """Give the caller that a visit's secret proves, with the rights of now.

        Parameters
        ----------
        secret : str
            What was shown, hostile until proven otherwise.
        peer : str
            From where.
        is_use : bool
            Whether somebody asks for something; if not, the visit ends as if nobody had asked.

        Raises
        ------
        Denied
            When it proves nobody: unknown, over, or the link is worth nothing any more. It is not on record yet.
        """
        known = self._held.find(digest(secret))
        if known is None:
            raise Denied("A visit by a link is unknown or over, or the link is worth nothing any more.")
        share, issuer = known.what
        caller = known.met(peer) or known.meet(peer, self._caller(share, issuer, known.id, peer))
        if is_use:
            self._held.note(known)
        return caller

    def share_of(self, caller: Caller) -> Share:
        """Give the link by which somebody is here.

        Raises
        ------
        NotHere
            When the caller is here by none, or it ended.
        """
        if caller.kind is CallerKind.LINK:
            with self._store.reading() as connection:
                share = share_store.find(connection, caller.name)
            if share is not None and share.counts(self._store.now):
                return share
        raise NotHere(CLOSED)

    def leave(self, caller: Caller) -> None:
        """End a visit."""
        share = self.share_of(caller)
        self._store.audit.append(
            Event.of(caller, Outcome.PERMITTED, "signout", f"the link {share.id} was left", door=_DOOR)
        )
        with self._store.writing() as connection:
            connection.execute("DELETE FROM visit WHERE id = ?", (caller.session,))

    # --- within -------------------------------------------------------------------

    def _read(self, hashed: bytes, now: datetime) -> Known[tuple[Share, Caller | None]] | None:
        with self._store.reading() as connection:
            row = connection.execute("SELECT id, share, seen, until FROM visit WHERE hash = ?", (hashed,)).fetchone()
            share = None if row is None else share_store.find(connection, row[1])
        if row is None or share is None or not share.counts(now):
            return None
        issuer = self._issuers.of(share)
        if not rights_of(share, issuer):
            return None
        return Known(row[0], from_stored(row[2]), from_stored(row[3]), share.until, (share, issuer))

    @staticmethod
    def _caller(share: Share, issuer: Caller | None, session: str, peer: str) -> Caller:
        evidence = f"link of {share.issuer}"
        return Caller(CallerKind.LINK, share.id, rights_of(share, issuer), peer, evidence, session)

    def _refuse(self, peer: str, why: str, reason: str, *, is_alert: bool = False) -> None:
        outcome = Outcome.ALERT if is_alert else Outcome.REFUSED
        event = Event(outcome, "signin", peer=peer, door=_DOOR, reason=reason, detail={"why": why})
        if is_alert:
            self._store.audit.append(event)
        else:
            self._refusals.add(event, why)


def caller_of_link(store: ShareStore, issuers: Issuers, id: str) -> Caller:  # noqa: A002 - what it is
    """Give who is here by a link, with the rights of now, to explain decisions; one that is over has none.

    Raises
    ------
    NotHere
        When there is no such link.
    """
    with store.reading() as connection:
        share = share_store.find(connection, id)
    if share is None:
        raise NotHere("There is no such link. See: leadglass share list --all")
    grants = rights_of(share, issuers.of(share)) if share.counts(store.now) else ()
    return Caller(CallerKind.LINK, share.id, grants, "nowhere", f"link of {share.issuer}")


@dataclass(frozen=True, slots=True)
class _Wrong:
    """A code that is not right: for the record, for who showed it, and whether it was the last."""

    reason: str
    told: str
    is_last: bool = False


def digest(secret: str) -> bytes:
    """Give what is kept of a visit's secret."""
    return secret_text.digest("share visit", secret)


def _over(now: datetime, idle: timedelta) -> tuple[str, str]:
    return to_stored(now), to_stored(now - idle)
