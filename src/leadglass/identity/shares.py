"""Shares: the links of an archive, made, listed, ended and looked after by who made them.

Rule 1. The secret, and the code where one is asked for, are shown once and kept
nowhere. Rule 2. Every link ends: at its time, when it is revoked, or when too many
wrong codes were shown. Rule 3. What is changed is on record first, for each study.
Rule 4. Who manages sees and ends every link, and none of what it shows.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from secrets import randbelow, token_hex
from typing import Final

from leadglass.audit.decision import decide_on_record
from leadglass.audit.event import Event, Outcome
from leadglass.errors import BadInput, Denied, Full, NotHere
from leadglass.identity import secret_text, share_store
from leadglass.identity.share import MOST_STUDIES, Share, ShareKind, ShareLock
from leadglass.identity.share_store import COLUMNS, ShareStore, share_of
from leadglass.identity.store import to_stored
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind
from leadglass.policy.permit import decide

ACTION: Final = "share"
"""The word in the audit log."""

LIFE: Final = timedelta(days=7)
LEAST_LIFE: Final = timedelta(minutes=5)
LONGEST_LIFE: Final = timedelta(days=90)
"""How long a link counts by itself, at least, and at most unless the operator says otherwise."""

MOST_NOTE: Final = 200
"""Characters of a note."""

PIN_DIGITS: Final = 6
"""Digits of a code: with ``WRONG_PINS`` tries, one guesser in 100,000 hits it."""

WRONG_PINS: Final = 10
"""Wrong numbers, shown with the right link, at which it ends."""

MOST_FILES: Final = 5_000
MOST_OCTETS: Final = 20 * 1024**3
"""What may be sent in by one link when nothing is said: some large studies."""

_MOST_LISTED: Final = 1_000
_MOST_ACCESSES: Final = 200
_MOST_RECORDS: Final = 5_000

_OWN: Final = frozenset({"signin", "signout"})
"""What is done by a link that is about no study."""

_REMEMBERED: Final = timedelta(days=365)
"""How long a link stays on the list after its time."""


@dataclass(frozen=True, slots=True)
class CreatedShare:
    """A new link with its secret and its code, which are nowhere else.

    Parameters
    ----------
    share : Share
        The link.
    secret : str
        What proves it.
    code : str
        The code that it asks for; empty when it asks for none.
    """

    share: Share
    secret: str = field(repr=False)
    code: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class AccessNote:
    """One thing that was done by a link, as it is on record.

    Parameters
    ----------
    time : datetime
        When (UTC).
    peer : str
        From where.
    action : str
        The audit log's word for what was done.
    outcome : Outcome
        How it ended.
    study_uid : str
        With which study, where it was one.
    times : int
        How often in a row.
    """

    time: datetime
    peer: str
    action: str
    outcome: Outcome
    study_uid: str
    times: int = 1


Listed = list[Share]
Accesses = list[AccessNote]


class Shares:
    """The links of one archive, for those who make and end them.

    Parameters
    ----------
    store : ShareStore
        Where they are kept.
    life, longest : timedelta
        How long one counts when nothing is said, and at most.
    """

    def __init__(self, store: ShareStore, *, life: timedelta = LIFE, longest: timedelta = LONGEST_LIFE) -> None:
        self._store = store
        self._life = min(life, longest)
        self._longest = longest

    @property
    def now(self) -> datetime:
        """The time it is (UTC)."""
        return self._store.now

    @property
    def life(self) -> timedelta:
        """How long a link counts when nothing is said."""
        return self._life

    @property
    def longest(self) -> timedelta:
        """How long a link counts at most."""
        return self._longest

    # --- making -----------------------------------------------------------------

    def give(
        self,
        caller: Caller,
        studies: Iterable[str],
        *,
        is_masked: bool = False,
        may_download: bool = True,
        life: timedelta | None = None,
        lock: ShareLock = ShareLock.NONE,
        note: str = "",
    ) -> CreatedShare:
        """Make a link that shows studies.

        It shows only those that its maker may take out of the archive at the
        time it is used: whether there are any is asked of the archive before.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``EXPORT``.
        studies : iterable of str
            Study Instance UIDs.
        is_masked : bool
            Whether who they are of is kept back.
        may_download : bool
            Whether the images may be fetched, or pictures of them only.
        life : timedelta, optional
            How long it counts.
        lock : ShareLock
            What it asks for besides its secret.
        note : str
            For the list.

        Raises
        ------
        Denied, BadInput
        """
        named = tuple(dict.fromkeys(studies))
        if not 1 <= len(named) <= MOST_STUDIES:
            raise BadInput(f"One link shows 1 to {MOST_STUDIES} studies.")
        share = self._draft(caller, ShareKind.GIVE, life, lock, note)
        return self._make(
            caller, Action.EXPORT, replace(share, studies=named, is_masked=is_masked, may_download=may_download)
        )

    def receive(
        self,
        caller: Caller,
        *,
        note: str,
        life: timedelta | None = None,
        lock: ShareLock = ShareLock.NONE,
        most_files: int = MOST_FILES,
        most_octets: int = MOST_OCTETS,
    ) -> CreatedShare:
        """Make a link by which somebody sends studies into quarantine.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``RESOLVE``: who looks at what comes.
        note : str
            Who is to send; shown to them, and needed.
        most_files, most_octets : int
            How much may come.

        Raises
        ------
        Denied, BadInput
        """
        if not note.strip():
            raise BadInput("Write down who is to send: they see it, and it is what tells links apart.")
        if not (1 <= most_files <= 1_000_000 and 1 <= most_octets <= 1024**4):
            raise BadInput("A link takes 1 to 1,000,000 files, and at most 1 TiB.")
        share = self._draft(caller, ShareKind.RECEIVE, life, lock, note)
        return self._make(caller, Action.RESOLVE, replace(share, most_files=most_files, most_octets=most_octets))

    def _draft(self, caller: Caller, kind: ShareKind, life: timedelta | None, lock: ShareLock, note: str) -> Share:
        if caller.kind not in (CallerKind.PERSON, CallerKind.COMMAND_LINE):
            raise Denied("Links are made by people.")
        life = self._life if life is None else life
        if not LEAST_LIFE <= life <= self._longest:
            raise BadInput(
                f"A link counts for 5 minutes to {self._longest.days} days. Choose a time within that, or change "
                "[shares] longest_days in leadglass.toml."
            )
        note = " ".join(note.split())
        if len(note) > MOST_NOTE or not note.isprintable():
            raise BadInput(f"A note has at most {MOST_NOTE} characters that can be printed.")
        now = self.now.replace(microsecond=0)
        return Share(token_hex(8), kind, str(caller), now, now + life, note, lock=lock)

    def _make(self, caller: Caller, action: Action, share: Share) -> CreatedShare:
        decide_on_record(
            self._store.audit.append, caller, action, door=self._store.door, detail=_said(share, "create"), yes=False
        )
        secret = secret_text.make()
        code = "" if share.lock is ShareLock.NONE else new_code()
        hashed = None if not code else code_digest(secret, code)
        share = replace(share, has_code=bool(code))
        with self._store.writing() as connection:
            connection.execute("DELETE FROM share WHERE until < ?", (to_stored(self.now - _REMEMBERED),))
            share_store.add(connection, share, digest(secret), hashed)
            # Inside the transaction: what is not on record opens nothing.
            self._record(caller, Outcome.PERMITTED, "made a link", share, "create")
        return CreatedShare(share, secret, code)

    # --- looking after ------------------------------------------------------------

    def list(self, caller: Caller, *, everybodys: bool = False) -> Listed:
        """Give the caller's links, newest first; or everybody's, for who manages.

        Raises
        ------
        Denied
        """
        where, values = "WHERE issuer = ?", (str(caller),)
        if everybodys:
            decide_on_record(
                self._store.audit.append, caller, Action.MANAGE, door=self._store.door, detail={"list": ACTION}
            )
            where, values = "", ()
        with self._store.reading() as connection:
            rows = connection.execute(
                f"{COLUMNS} {where} ORDER BY made DESC, id LIMIT {_MOST_LISTED}", values
            ).fetchall()
        return [share_of(row) for row in rows]

    def get(self, caller: Caller, id: str) -> Share:  # noqa: A002 - what it is
        """Give one link of the caller's, or anybody's for who manages.

        Raises
        ------
        NotHere
        """
        with self._store.reading() as connection:
            share = share_store.find(connection, id)
        if share is None or (share.issuer != str(caller) and not _manages(caller)):
            raise NotHere("There is no such link.")
        return share

    def accesses(self, caller: Caller, id: str) -> "Accesses":  # noqa: A002 - what it is
        """Give what was done by a link, newest first, as it is on record.

        Opening it, and what was done with a study; the same again and again is one.

        Raises
        ------
        NotHere
        """
        share = self.get(caller, id)
        notes: list[AccessNote] = []
        for record in reversed(self._store.audit.records(caller=share.name, limit=_MOST_RECORDS)):
            event = record.event
            if event.outcome is Outcome.DONE or not (event.study_uid or event.action in _OWN):
                continue
            note = AccessNote(record.time, event.peer, event.action, event.outcome, event.study_uid)
            if notes and replace(notes[-1], time=note.time, times=1) == note:
                notes[-1] = replace(notes[-1], times=notes[-1].times + 1)
            elif len(notes) < _MOST_ACCESSES:
                notes.append(note)
        return notes

    def revoke(self, caller: Caller, id: str, *, why: str = "revoked") -> Share:  # noqa: A002 - what it is
        """End a link, at once and for good: its maker does, or who manages.

        Raises
        ------
        NotHere, Denied
        """
        share = self.get(caller, id)
        if share.issuer != str(caller):
            said = _said(share, "revoke")
            decide_on_record(
                self._store.audit.append, caller, Action.MANAGE, door=self._store.door, detail=said, yes=False
            )
        with self._store.writing() as connection:
            self._record(caller, Outcome.PERMITTED, "ended a link", share, "revoke")
            share_store.end(connection, share.id, why, self.now)
        return self.get(caller, id)

    def took(self, id: str, files: int, octets: int) -> Share:  # noqa: A002 - what it is
        """Count what is being sent in by a link, before it is kept; gives the link as it is then.

        Raises
        ------
        Full
            When it is more than the link takes.
        NotHere
            When the link has ended.
        """
        with self._store.writing() as connection:
            share = share_store.find(connection, id)
            if share is None or not share.counts(self.now):
                raise NotHere("This link does not open anything any more. Ask whoever sent it.")
            if share.files + files > share.most_files or share.octets + octets > share.most_octets:
                raise Full(
                    "More was sent than this link takes. Ask whoever sent it to you for another one, or send less."
                )
            connection.execute(
                "UPDATE share SET files = files + ?, octets = octets + ? WHERE id = ?", (files, octets, id)
            )
        return replace(share, files=share.files + files, octets=share.octets + octets)

    def count(self, id: str, files: int, octets: int) -> Share | None:  # noqa: A002 - what it is
        """Count what a link brought beyond what was announced: it is here already. Gives the link as it is then."""
        with self._store.writing() as connection:
            connection.execute(
                "UPDATE share SET files = files + ?, octets = octets + ? WHERE id = ?", (files, octets, id)
            )
            return share_store.find(connection, id)

    def deleted(self, study_uid: str) -> None:
        """Take a study that was deleted out of every link: whatever gets its UID next is not lent by them.

        Raises
        ------
        Busy, Full, Corrupt, Misconfigured
        """
        with self._store.writing() as connection:
            rows = connection.execute(f"{COLUMNS} WHERE ended IS NULL AND instr(studies, ?)", (study_uid,)).fetchall()
            for share in map(share_of, rows):
                left = [each for each in share.studies if each != study_uid]
                if len(left) == len(share.studies):
                    continue
                if left:
                    connection.execute("UPDATE share SET studies = ? WHERE id = ?", ("\n".join(left), share.id))
                else:
                    share_store.end(connection, share.id, "its studies were deleted", self.now)

    def _record(self, caller: Caller, outcome: Outcome, what: str, share: Share, change: str) -> None:
        """Put a change on record, for each study: so it is found by who looks for the study."""
        reason = f"{caller.name} {what}: {share.id}"
        for study_uid in share.studies or ("",):
            event = Event.of(
                caller, outcome, ACTION, reason, door=self._store.door, study_uid=study_uid, detail=_said(share, change)
            )
            self._store.audit.append(event)


def digest(secret: str) -> bytes:
    """Give what is kept of a link's secret."""
    return secret_text.digest("share", secret)


def code_digest(secret: str, code: str) -> bytes:
    """Give what is kept of a link's code: nothing can be said of it without the link's secret."""
    key = secret_text.digest("share number", secret)
    return hmac.digest(key, code.encode("utf-8", "surrogatepass"), "sha256")


def new_code() -> str:
    """Give a new code; nobody's birthday."""
    return f"{randbelow(10**PIN_DIGITS):0{PIN_DIGITS}d}"


def may_give(caller: Caller) -> bool:
    """Say whether somebody may make links that show studies, for what is offered on a page."""
    return _may(caller, Action.EXPORT)


def may_receive(caller: Caller) -> bool:
    """Say the same of links by which studies come in."""
    return _may(caller, Action.RESOLVE)


def _manages(caller: Caller) -> bool:
    return _may(caller, Action.MANAGE)


def _may(caller: Caller, action: Action) -> bool:
    try:
        decide(caller, action)
    except Denied:
        return False
    return True


def _said(share: Share, change: str) -> dict[str, str | int]:
    """Say a link in the words of the audit log; its note may name what the log must not."""
    said: dict[str, str | int] = {
        "change": change,
        "link": share.id,
        "way": share.kind.value,
        "until": to_stored(share.until)[:16],
        "asks for": share.lock.value,
    }
    if share.kind is ShareKind.GIVE:
        said["gives"] = "images" if share.may_download else "pictures"
        said["identity"] = "masked" if share.is_masked else "shown"
    else:
        said["most files"] = share.most_files
    return said
