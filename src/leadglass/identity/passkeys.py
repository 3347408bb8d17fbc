"""Passkeys: a person signs in by a key that never leaves their device (W3C Web Authentication, level 3).

Rule 1. The device has verified the person (PIN, finger, face): so a passkey is
both factors. Rule 2. A challenge is answered once, within minutes, at our own
address. Rule 3. A key whose counter runs backwards was copied: it is refused, and
the operator is told. Rule 4. A passkey counts for the account as it was when it was
registered: an account that was reset, locked or removed, or is another's to vouch
for, has none. Rule 5. Whoever is not let in hears one sentence.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from threading import Lock
from typing import Final, cast

import msgspec
import webauthn
from webauthn.helpers import options_to_json_dict
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from leadglass.audit.decision import failing_on_record
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.audit.refusals import Refusals
from leadglass.crypto.database import transaction, translating
from leadglass.errors import BadInput, Conflict, Denied, NotHere
from leadglass.identity.people import People
from leadglass.identity.person import Person
from leadglass.identity.relying_party import RelyingParty
from leadglass.identity.sessions import OpenedSession, Sessions
from leadglass.identity.store import SealedStore, from_stored, to_stored
from leadglass.policy.caller import Caller, CallerKind
from leadglass.system import utc_now

PASSKEYS_FILE: Final = "passkeys.db"

REFUSED: Final = "That passkey does not sign you in here. Sign in another way."
"""What everybody hears who is not let in."""

LIFE: Final = timedelta(minutes=5)
"""How long a challenge may be answered."""

MOST_KEYS: Final = 20
"""Passkeys of one account."""

LONGEST_LABEL: Final = 64
_LONGEST: Final = 16 * 1024
"""Characters of what a browser sends; real ones have one or two thousand."""

_ALGORITHMS: Final = [
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]

_SCHEMA: Final = (
    # Not the name: what a device keeps must not tell whose account it is for.
    """CREATE TABLE IF NOT EXISTS handle (
        person TEXT PRIMARY KEY NOT NULL CHECK (person <> ''),
        handle BLOB NOT NULL UNIQUE CHECK (length(handle) = 32)
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS passkey (
        id BLOB PRIMARY KEY NOT NULL CHECK (length(id) BETWEEN 16 AND 1023),
        person TEXT NOT NULL REFERENCES handle ON DELETE CASCADE,
        epoch INTEGER NOT NULL,
        account_made TEXT NOT NULL CHECK (account_made <> ''),
        label TEXT NOT NULL CHECK (label <> ''),
        public_key BLOB NOT NULL CHECK (length(public_key) > 0),
        sign_count INTEGER NOT NULL CHECK (sign_count >= 0),
        is_synced INTEGER NOT NULL CHECK (is_synced IN (0, 1)),
        made TEXT NOT NULL CHECK (made <> ''),
        used TEXT
    ) STRICT""",
)


Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Passkey:
    """One passkey, as it is listed.

    Parameters
    ----------
    id : str
        Its credential id (base64url).
    person : str
        Whose it is.
    label : str
        What that person calls it.
    is_synced : bool
        Whether its maker's cloud may copy it to other devices.
    made : datetime
        When it was registered (UTC).
    used : datetime, optional
        When it was last used.
    """

    id: str
    person: str
    label: str
    is_synced: bool
    made: datetime
    used: datetime | None


@dataclass(frozen=True, slots=True)
class _Stored:
    person: str
    epoch: int
    account_made: str
    public_key: bytes
    sign_count: int
    handle: bytes
    label: str


class Passkeys(SealedStore):
    """The passkeys of one archive. Safe for threads.

    Parameters
    ----------
    path : Path
        The sealed database.
    key : bytes
        32 bytes: its key.
    rp : RelyingParty
        What they are bound to.
    people, sessions : People, Sessions
        Whose they are, and where sessions are opened.
    audit : AuditLog
        Where changes are recorded.
    refusals : Refusals
        Where those are recorded who are not let in.
    door : str
        For the records.
    clock : callable
        The time now (UTC).

    Raises
    ------
    Misconfigured, Busy, Full, Corrupt
        When the database cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        rp: RelyingParty,
        people: People,
        sessions: Sessions,
        audit: AuditLog,
        refusals: Refusals,
        *,
        door: str = "web",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(path, key, _SCHEMA, clock)
        self._rp = rp
        self._people = people
        self._sessions = sessions
        self._audit = audit
        self._refusals = refusals
        self._door = door
        self._own_key = token_bytes(32)
        self._using = Lock()
        self._used: OrderedDict[bytes, datetime] = OrderedDict()

    # --- registering ------------------------------------------------------------

    def begin_registration(self, caller: Caller) -> Json:
        """Give what a signed-in person's browser is to make a passkey with.

        Raises
        ------
        Denied
            When the caller is not a person, or somebody else vouches for it.
        Conflict
            When it has as many as there may be.
        Busy
        """
        person = self._own(caller)
        keys = self.list(person.name)
        if len(keys) >= MOST_KEYS:
            raise Conflict(f"An account has at most {MOST_KEYS} passkeys. Remove one first.")
        challenge = self._challenge(caller.session)
        options = webauthn.generate_registration_options(
            rp_id=self._rp.id,
            rp_name="Leadglass",
            user_id=self._handle(person.name),
            user_name=person.name,
            challenge=challenge,
            timeout=int(LIFE.total_seconds() * 1_000),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=_octets(key.id)) for key in keys],
            supported_pub_key_algs=_ALGORITHMS,
        )
        return cast(Json, options_to_json_dict(options))

    def finish_registration(self, caller: Caller, answer: str, label: str) -> Passkey:
        """Keep the passkey that a browser made.

        Parameters
        ----------
        caller : Caller
            The person, in the session that began.
        answer : str
            What the browser sent (JSON); hostile until proven otherwise.
        label : str
            What the person calls it.

        Raises
        ------
        Denied, BadInput, Conflict
        """
        person = self._own(caller)
        label = "".join(each for each in label if each.isprintable()).strip()[:LONGEST_LABEL] or "passkey"
        challenge = self._asked(_read(answer), caller.session)
        try:
            made = webauthn.verify_registration_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=self._rp.id,
                expected_origin=self._rp.origin,
                require_user_verification=True,
                supported_pub_key_algs=_ALGORITHMS,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError, RecursionError) as error:
            raise BadInput("The passkey cannot be registered: what the browser sent is not as it should be.") from error
        self._use(challenge)
        now = self._clock()
        synced = made.credential_device_type.value == "multi_device"
        id_ = _text(made.credential_id)
        with self._changing(caller, f"{person.name} registered a passkey", id_):
            if self._connection.execute("SELECT 1 FROM passkey WHERE id = ?", (made.credential_id,)).fetchone():
                raise Conflict("This passkey is registered already.")
            self._connection.execute(
                "DELETE FROM passkey WHERE person = ? AND (epoch <> ? OR account_made <> ?)",
                (person.name, person.epoch, to_stored(person.made)),
            )
            self._connection.execute(
                "INSERT INTO passkey VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                (
                    made.credential_id,
                    person.name,
                    person.epoch,
                    to_stored(person.made),
                    label,
                    made.credential_public_key,
                    made.sign_count,
                    synced,
                    to_stored(now),
                ),
            )
        return Passkey(id_, person.name, label, synced, now, None)

    # --- signing in -------------------------------------------------------------

    def begin_sign_in(self) -> Json:
        """Give what a browser is to sign; of the same kind for everybody, so that no account is given away."""
        options = webauthn.generate_authentication_options(
            rp_id=self._rp.id,
            challenge=self._challenge(""),
            timeout=int(LIFE.total_seconds() * 1_000),
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return cast(Json, options_to_json_dict(options))

    def finish_sign_in(self, answer: str, peer: str, *, agent: str = "") -> OpenedSession:
        """Open a session for whose passkey signed.

        Parameters
        ----------
        answer : str
            What the browser sent (JSON); hostile until proven otherwise.
        peer, agent : str
            From where, and with what as that says of itself.

        Raises
        ------
        Denied
            With one sentence, whatever the reason, which is on record.
        Busy, Full, Corrupt, Misconfigured
        """
        try:
            person, id_ = self._prove(answer, peer)
            return self._sessions.open(person, peer, f"passkey {_text(id_)[:16]}", agent=agent)
        except (Denied, BadInput) as error:
            event = Event(
                Outcome.REFUSED, "signin", peer=peer, door=self._door, reason=error.message, detail={"why": "passkey"}
            )
            self._refusals.add(event, "passkey", error.message[:64])
            raise Denied(REFUSED) from error

    def _prove(self, answer: str, peer: str) -> tuple[Person, bytes]:
        """Find out whose passkey signed; counts it."""
        shown = _read(answer)
        challenge = self._asked(shown, "")
        stored = self._find(shown.id)
        if stored is None:
            raise Denied("A passkey was shown that is not registered here.")
        if shown.handle is not None and shown.handle != stored.handle:
            raise Denied(f"A passkey of {stored.person} was shown for another account.")
        try:
            proven = webauthn.verify_authentication_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=self._rp.id,
                expected_origin=self._rp.origin,
                credential_public_key=stored.public_key,
                # The library would refuse a counter before it looks at the signature: anybody could raise the alarm.
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError, RecursionError) as error:
            raise Denied(f"What was shown as a passkey of {stored.person} proves nothing.") from error
        person = self._people.find(stored.person)
        if person is None or not _is_still(person, stored):
            raise Denied(f"A passkey of {stored.person} was shown, whose account was removed, reset or made anew.")
        self._use(challenge)
        self._count(stored, shown.id, proven.new_sign_count, peer)
        return person, shown.id

    def _count(self, stored: _Stored, id_: bytes, count: int, peer: str) -> None:
        """Keep the counter, which only grows; a synced passkey has none."""
        with self._lock, transaction(self._connection, self._path.name):
            changed = self._connection.execute(
                "UPDATE passkey SET sign_count = ?, used = ? WHERE id = ? AND (sign_count < ? OR sign_count + ? = 0)",
                (count, to_stored(self._clock()), id_, count, count),
            ).rowcount
        if changed:
            return
        reason = (
            f"The counter of a passkey of {stored.person} ({stored.label}) ran backwards: it may have been copied. "
            "Ask whose it is to remove it and to register another."
        )
        self._audit.append(
            Event(Outcome.ALERT, "signin", peer=peer, door=self._door, reason=reason, detail={"account": stored.person})
        )
        raise Denied(reason)

    # --- looking after ----------------------------------------------------------

    def counts(self) -> dict[tuple[str, int, str], int]:
        """Give how many passkeys there are, by account as it was when they were registered: ``account_of``."""
        with self._lock, translating(self._path.name):
            rows = self._connection.execute(
                "SELECT person, epoch, account_made, count(*) FROM passkey GROUP BY person, epoch, account_made"
            ).fetchall()
        return {(str(row[0]), int(row[1]), str(row[2])): int(row[3]) for row in rows}

    @staticmethod
    def account_of(person: Person) -> tuple[str, int, str]:
        """Give an account as passkeys are bound to it."""
        return person.name, person.epoch, to_stored(person.made)

    def list(self, name: str) -> "Listed":
        """Give the passkeys of an account that count, the oldest first."""
        person = self._people.find(name)
        if person is None:
            return []
        with self._lock, translating(self._path.name):
            rows = self._connection.execute(
                "SELECT id, person, label, is_synced, made, used FROM passkey "
                "WHERE person = ? AND epoch = ? AND account_made = ? ORDER BY made",
                (person.name, person.epoch, to_stored(person.made)),
            ).fetchall()
        return [
            Passkey(_text(id_), whose, label, bool(synced), from_stored(made), from_stored(used) if used else None)
            for id_, whose, label, synced, made, used in rows
        ]

    def remove(self, caller: Caller, id: str) -> None:  # noqa: A002 - what it is
        """Remove one of the caller's own passkeys.

        Raises
        ------
        Denied, NotHere
        """
        person = self._own(caller)
        if id not in {key.id for key in self.list(person.name)}:
            raise NotHere("You have no such passkey.")
        with self._changing(caller, f"{person.name} removed a passkey", id):
            self._connection.execute("DELETE FROM passkey WHERE id = ? AND person = ?", (_octets(id), person.name))

    # --- within -----------------------------------------------------------------

    def _own(self, caller: Caller) -> Person:
        """Give the account of who asks, when it may have passkeys here."""
        person = self._people.find(caller.name) if caller.kind is CallerKind.PERSON else None
        if person is None or person.is_locked:
            raise Denied("Passkeys are for people who are signed in.")
        if person.origin:
            raise Denied("Who signs in by a provider has no passkey here: the provider has to be asked each time.")
        return person

    def _handle(self, name: str) -> bytes:
        with self._lock, transaction(self._connection, self._path.name):
            self._connection.execute(
                "INSERT INTO handle VALUES (?, ?) ON CONFLICT (person) DO NOTHING", (name, token_bytes(32))
            )
            return bytes(self._connection.execute("SELECT handle FROM handle WHERE person = ?", (name,)).fetchone()[0])

    def _find(self, id_: bytes) -> _Stored | None:
        with self._lock, translating(self._path.name):
            row = self._connection.execute(
                "SELECT p.person, p.epoch, p.account_made, p.public_key, p.sign_count, h.handle, p.label "
                "FROM passkey p JOIN handle h ON h.person = p.person WHERE p.id = ?",
                (id_,),
            ).fetchone()
        return None if row is None else _Stored(row[0], row[1], row[2], bytes(row[3]), row[4], bytes(row[5]), row[6])

    def _challenge(self, whose: str) -> bytes:
        """Give a challenge that only we can have made: nothing has to be kept of those nobody answers."""
        body = int(self._clock().timestamp()).to_bytes(8) + token_bytes(24)
        return body + self._mac(body, whose)

    def _mac(self, body: bytes, whose: str) -> bytes:
        return hmac.digest(self._own_key, body + whose.encode(), "sha256")

    def _asked(self, shown: "_Shown", whose: str) -> bytes:
        """Give the challenge that an answer is to, when it is one of ours and not over."""
        body, mac = shown.challenge[:32], shown.challenge[32:]
        made = int.from_bytes(body[:8])
        is_ours = hmac.compare_digest(mac, self._mac(body, whose))
        if not is_ours or not 0 <= self._clock().timestamp() - made < LIFE.total_seconds():
            raise Denied("The challenge of a passkey is not one of ours, or is over. Try again.")
        return shown.challenge

    def _use(self, challenge: bytes) -> None:
        """Have a challenge count once; only of those that were answered rightly something is kept."""
        now = self._clock()
        with self._using:
            while self._used and next(iter(self._used.values())) <= now:
                self._used.popitem(last=False)
            if challenge in self._used:
                raise Denied("The challenge of a passkey was answered already.")
            self._used[challenge] = now + LIFE

    @contextmanager
    def _changing(self, caller: Caller, what: str, id_: str) -> Generator[None]:
        """Record, then change in one transaction; what fails is recorded too."""
        detail = {"account": caller.name, "passkey": id_[:16]}
        self._audit.append(Event.of(caller, Outcome.PERMITTED, "account", what, door=self._door, detail=detail))
        failing = failing_on_record(self._audit.append, caller, "account", door=self._door, detail=detail)
        with self._lock, failing, transaction(self._connection, self._path.name):
            yield


Listed = list[Passkey]


@dataclass(frozen=True, slots=True)
class _Shown:
    """What an answer says, before anything of it is proven."""

    id: bytes
    challenge: bytes
    handle: bytes | None


class _Response(msgspec.Struct):
    client_data: str = msgspec.field(name="clientDataJSON")
    handle: str | None = msgspec.field(name="userHandle", default=None)


class _Credential(msgspec.Struct):
    id: str
    response: _Response


class _ClientData(msgspec.Struct):
    challenge: str


def _read(answer: str) -> _Shown:
    if len(answer) > _LONGEST:
        raise BadInput("What was sent as a passkey is too long.")
    try:
        credential = msgspec.json.decode(answer, type=_Credential)
        client = msgspec.json.decode(_octets(credential.response.client_data), type=_ClientData)
        handle = credential.response.handle
        return _Shown(_octets(credential.id), _octets(client.challenge), None if not handle else _octets(handle))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BadInput("What was sent as a passkey cannot be read.") from None


def _is_still(person: Person, stored: _Stored) -> bool:
    """Say whether the account is the one that registered the passkey."""
    is_same = person.epoch == stored.epoch and to_stored(person.made) == stored.account_made
    return is_same and not person.is_locked and not person.origin


def _octets(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _text(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode().rstrip("=")
