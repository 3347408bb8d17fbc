"""Second factors: codes of an authenticator app (RFC 6238), and recovery codes for when it is lost.

Rule 1. A code counts once, and no older one after it. Rule 2. A secret counts
only after a code of it was shown. Rule 3. Recovery codes are shown once, kept
as hashes, and count once each.
"""

import hmac
from base64 import b32encode
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pyotp.totp import TOTP

from leadglass.audit.event import Outcome
from leadglass.errors import BadInput, Conflict, NotHere
from leadglass.identity import secret_text
from leadglass.identity.people_store import PeopleStore
from leadglass.policy.caller import Caller

if TYPE_CHECKING:
    from leadglass.crypto.database import driver

SECRET_BYTES: Final = 20
"""RFC 4226 section 4 recommends 160 bits."""

STEP: Final = 30
"""Seconds of a code."""

SKEW: Final = 1
"""Steps that a clock may be off."""

RECOVERY_CODES: Final = 10

_RECOVERY_CHARACTERS: Final = 12
"""Of five bits each: 60 bits."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app is given.

    Parameters
    ----------
    secret : str
        For typing in, in groups of four.
    uri : str
        For a QR code.
    """

    secret: str = field(repr=False)
    uri: str = field(repr=False)


class SecondFactors:
    """The second factors of the accounts.

    Parameters
    ----------
    store : PeopleStore
        Where they are kept.
    issuer : str
        What an authenticator app shows beside the account's name.
    """

    def __init__(self, store: PeopleStore, *, issuer: str = "Leadglass") -> None:
        self._store = store
        self._issuer = issuer

    # --- one's own ----------------------------------------------------------------

    def begin(self, caller: Caller) -> Enrolment:
        """Make a new secret; it counts when a code of it was shown.

        Raises
        ------
        Conflict
            When there is one already.
        """
        secret = token_bytes(SECRET_BYTES)
        with self._store.writing() as connection:
            if _is_confirmed(connection, caller.name):
                raise Conflict("There is an authenticator app already. Take it away first.")
            connection.execute("INSERT OR REPLACE INTO totp (name, secret) VALUES (?, ?)", (caller.name, secret))
        return self._enrolment(caller.name, secret)

    def begun(self, caller: Caller) -> Enrolment | None:
        """Give the secret that is waiting for its first code."""
        with self._store.reading() as connection:
            row = connection.execute(
                "SELECT secret FROM totp WHERE name = ? AND NOT is_confirmed", (caller.name,)
            ).fetchone()
        return None if row is None else self._enrolment(caller.name, bytes(row[0]))

    def confirm(self, caller: Caller, code: str) -> tuple[str, ...]:
        """Show that the app works: the secret counts from now on; gives the recovery codes, once.

        Raises
        ------
        NotHere
            When no secret waits.
        BadInput
            When the code is not the secret's.
        """
        codes = _new_recovery_codes()
        with self._store.writing() as connection:
            row = connection.execute(
                "SELECT secret FROM totp WHERE name = ? AND NOT is_confirmed", (caller.name,)
            ).fetchone()
            if row is None:
                raise NotHere("No authenticator app is being added. Begin anew.")
            step = self._step_of(bytes(row[0]), code, after=0)
            if step is None:
                raise BadInput("That is not the code the app should show now. Check the clock of the phone.")
            self._record(caller, "added an authenticator app")
            connection.execute("UPDATE totp SET is_confirmed = 1, last_step = ? WHERE name = ?", (step, caller.name))
            _keep_codes(connection, caller.name, codes)
        return codes

    def remove(self, caller: Caller) -> None:
        """Take the app and the recovery codes away."""
        with self._store.writing() as connection:
            self._record(caller, "took the authenticator app away")
            connection.execute("DELETE FROM totp WHERE name = ?", (caller.name,))
            connection.execute("DELETE FROM recovery WHERE name = ?", (caller.name,))

    def renew_codes(self, caller: Caller) -> tuple[str, ...]:
        """Make new recovery codes; the old ones end.

        Raises
        ------
        NotHere
            Without an authenticator app.
        """
        codes = _new_recovery_codes()
        with self._store.writing() as connection:
            if not _is_confirmed(connection, caller.name):
                raise NotHere("Recovery codes are for who has an authenticator app. Add one first.")
            self._record(caller, "made new recovery codes")
            _keep_codes(connection, caller.name, codes)
        return codes

    def codes_left(self, name: str) -> int:
        """Say how many recovery codes are left."""
        with self._store.reading() as connection:
            return connection.execute("SELECT count(*) FROM recovery WHERE name = ?", (name,)).fetchone()[0]

    # --- signing in -----------------------------------------------------------------

    def check(self, name: str, code: str) -> str | None:
        """Use a code up; gives what it was (``authenticator code``, ``recovery code``), or None when it is none."""
        with self._store.writing() as connection:
            row = connection.execute(
                "SELECT secret, last_step FROM totp WHERE name = ? AND is_confirmed", (name,)
            ).fetchone()
            if row is None:
                return None
            step = self._step_of(bytes(row[0]), code, after=row[1])
            if step is not None:
                connection.execute("UPDATE totp SET last_step = ? WHERE name = ?", (step, name))
                return "an authenticator code"
            used = connection.execute(
                "DELETE FROM recovery WHERE name = ? AND hash = ?", (name, _digest(name, code))
            ).rowcount
        return "a recovery code" if used else None

    def _step_of(self, secret: bytes, code: str, *, after: int) -> int | None:
        """Find the step whose code it is, later than one that was used."""
        digits = "".join(code.split())
        if len(digits) != 6 or not (digits.isascii() and digits.isdigit()):
            return None
        generator = TOTP(b32encode(secret).decode(), interval=STEP)
        now = int(self._store.now.timestamp()) // STEP
        found: int | None = None
        for step in range(now - SKEW, now + SKEW + 1):
            if hmac.compare_digest(generator.generate_otp(step), digits) and step > after:
                found = step
        return found

    def _enrolment(self, name: str, secret: bytes) -> Enrolment:
        text = b32encode(secret).decode()
        label = quote(f"{self._issuer}:{name}")
        uri = f"otpauth://totp/{label}?secret={text}&issuer={quote(self._issuer)}"
        return Enrolment(" ".join(text[at : at + 4] for at in range(0, len(text), 4)), uri)

    def _record(self, caller: Caller, what: str) -> None:
        self._store.record(caller, Outcome.DONE, "account", f"{caller.name} {what}")


def _is_confirmed(connection: "driver.Connection", name: str) -> bool:
    return connection.execute("SELECT 1 FROM totp WHERE name = ? AND is_confirmed", (name,)).fetchone() is not None


def _new_recovery_codes() -> tuple[str, ...]:
    codes: list[str] = []
    for _ in range(RECOVERY_CODES):
        text = b32encode(token_bytes(10)).decode()[:_RECOVERY_CHARACTERS].lower()
        codes.append("-".join(text[at : at + 4] for at in range(0, len(text), 4)))
    return tuple(codes)


def _keep_codes(connection: "driver.Connection", name: str, codes: tuple[str, ...]) -> None:
    connection.execute("DELETE FROM recovery WHERE name = ?", (name,))
    connection.executemany(
        "INSERT INTO recovery (hash, name) VALUES (?, ?)", [(_digest(name, code), name) for code in codes]
    )


def _digest(name: str, code: str) -> bytes:
    """Give what is kept of a recovery code; how it is grouped and in which case it is typed does not matter."""
    plain = "".join(c for c in code.lower() if c.isalnum()).replace("0", "o").replace("1", "l")
    return secret_text.digest("recovery", f"{name}\0{plain}")
