"""Sources: where the secret that opens the archive key comes from, and that it is exactly one.

Rule 1. The envelope remembers the one source. A secret that was handed over for
another is an error, not a second try: somebody believes something that is not
so. Rule 2. What came by the environment is removed from it at once, so that no
child process inherits it. Rule 3. Nothing is asked for that will not be used.
"""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, assert_never

from leadglass.crypto import keyfile
from leadglass.crypto.envelope import Envelope, Lock, Source, WrongKey
from leadglass.errors import LeadglassError, Misconfigured

VARIABLE: Final = "LEADGLASS_ARCHIVE_KEY"
"""The environment variable that may hold a key."""

CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
"""Where systemd says it put a service's credentials (systemd.exec(5))."""

CREDENTIAL: Final = "leadglass.archive.key"
"""The credential's name."""

TRIES: Final = 3
"""How often a person may mistype a passphrase."""


@dataclass(frozen=True, slots=True)
class Passphrases:
    """Where passphrases come from.

    Parameters
    ----------
    ask : callable
        Gives the passphrase; told what to ask for.
    is_typed : bool
        Whether a person types it, and may mistype.
    is_given : bool
        Whether the operator named a file with it, and so expects that it is used.
    """

    ask: Callable[[str], str]
    is_typed: bool = False
    is_given: bool = False


@dataclass(slots=True, repr=False)
class Given:
    """What this process was handed.

    Parameters
    ----------
    variable : str, optional
        What ``VARIABLE`` held.
    credentials : Path, optional
        The folder of credentials.
    passphrases : Passphrases, optional
        Where passphrases come from.
    """

    variable: str | None = None
    credentials: Path | None = None
    passphrases: Passphrases | None = None
    _last: bytes = field(default=b"", init=False)
    _expected: frozenset[Source] = field(default=frozenset(), init=False)

    @classmethod
    def taken_from(cls, environment: MutableMapping[str, str]) -> "Given":
        """Take the key out of the environment."""
        folder = environment.get(CREDENTIALS)
        return cls(environment.pop(VARIABLE, None), Path(folder) if folder else None)

    def secret(self, envelope: Envelope, own: Path) -> bytes:
        """Give the secret that opens an envelope.

        Parameters
        ----------
        envelope : Envelope
            Which says where it comes from.
        own : Path
            The key file in the data folder.

        Raises
        ------
        WrongKey
            When what is there is another archive's.
        Misconfigured
            When nothing is there, and where it was looked for; when it may be
            read by others; when another source was handed over as well.
        """
        self.require_only(envelope.lock.source)
        if self._last and envelope.is_opened_by(self._last):
            return self._last
        lock = envelope.lock
        match lock.source:
            case Source.FILE:
                secret = self._of_file(envelope, Path(lock.path) if lock.path else own)
            case Source.PASSPHRASE:
                secret = self._of_passphrase(envelope)
            case Source.ENVIRONMENT:
                secret = self.of_variable()
                if not envelope.is_opened_by(secret):
                    raise _wrong(envelope, f"The environment variable {VARIABLE}")
            case Source.CREDENTIAL:
                secret = self.of_credential()
                if not envelope.is_opened_by(secret):
                    raise _wrong(envelope, f"The credential {CREDENTIAL}")
            case _:
                assert_never(lock.source)
        self._last = secret
        return secret

    def new_passphrase(self) -> str:
        """Give the passphrase of a new archive; raises ``Misconfigured`` when nobody can be asked."""
        if self.passphrases is None:
            raise Misconfigured(_NOBODY)
        text = self.passphrases.ask("New passphrase")
        if self.passphrases.is_typed and self.passphrases.ask("The same again") != text:
            raise Misconfigured("The two passphrases are not the same. Begin again.")
        return text

    def remember(self, secret: bytes) -> None:
        """Take note of a new secret, so that nobody is asked for what is known."""
        self._last = secret

    def expect(self, source: Source) -> None:
        """Take note that the key is to come from there, so that a secret handed over for it is in order."""
        self._expected = frozenset({source})

    def require_only(self, source: Source) -> None:
        """Refuse a secret that was handed over for another source."""
        spoken, fine = SPOKEN[source], self._expected | {source}
        if self.variable is not None and Source.ENVIRONMENT not in fine:
            raise Misconfigured(
                f"The environment holds {VARIABLE}, but the key of this archive comes from {spoken}. Unset the "
                "variable; or make it the source: leadglass key move --to environment"
            )
        credential = self._credential()
        if credential is not None and credential.exists() and Source.CREDENTIAL not in fine:
            raise Misconfigured(
                f"There is a credential {CREDENTIAL}, but the key of this archive comes from {spoken}. Take it out "
                "of the unit; or make it the source: leadglass key move --to credential"
            )
        if self.passphrases is not None and self.passphrases.is_given and Source.PASSPHRASE not in fine:
            raise Misconfigured(
                f"A passphrase was given, but the key of this archive comes from {spoken}. Leave --passphrase-file "
                "away; or make it the source: leadglass key passphrase"
            )

    def of_variable(self) -> bytes:
        """Give the secret in the environment; raises ``Misconfigured``."""
        if self.variable is None:
            raise Misconfigured(
                f"The key of this archive comes from the environment variable {VARIABLE}, and it is not set. "
                "Set it for this command, and for nothing else."
            )
        return keyfile.from_text(self.variable, f"The environment variable {VARIABLE}").secret

    def of_credential(self) -> bytes:
        """Give the secret that the service manager put there; raises ``Misconfigured``."""
        path = self._credential()
        if path is None:
            raise Misconfigured(
                f"The key of this archive is the credential {CREDENTIAL}, and this process was given no credentials "
                f"({CREDENTIALS} is not set). Run it as a service with LoadCredentialEncrypted={CREDENTIAL}:FILE, or "
                "with: systemd-run --pipe --wait -p LoadCredentialEncrypted=…"
            )
        if not path.exists():
            raise Misconfigured(
                f"The key of this archive is the credential {CREDENTIAL}, and {path} is not there. "
                f"Add LoadCredentialEncrypted={CREDENTIAL}:FILE to the unit."
            )
        return keyfile.read(path, credential=True).secret

    def _credential(self) -> Path | None:
        return None if self.credentials is None else self.credentials / CREDENTIAL

    def _of_file(self, envelope: Envelope, path: Path) -> bytes:
        """Read the key file, or the draft that a crash kept from its place."""
        draft = path.with_name(path.name + DRAFT)
        wrong: LeadglassError | None = None
        for each in (path, draft):
            if each is draft and not draft.exists():
                break
            try:
                secret = keyfile.read(each).secret
            except Misconfigured as error:
                wrong = wrong or error
                continue
            if envelope.is_opened_by(secret):
                return secret
        raise wrong or _wrong(envelope, f"The key file {path}")

    def _of_passphrase(self, envelope: Envelope) -> bytes:
        stretch = envelope.lock.stretch
        if self.passphrases is None or stretch is None:
            raise Misconfigured(_NOBODY)
        what = f"Passphrase of the archive key {envelope.key_id}"
        for attempt in range(TRIES if self.passphrases.is_typed else 1):
            secret = stretch.key(self.passphrases.ask(f"That is not it. {what}" if attempt else what))
            if envelope.is_opened_by(secret):
                return secret
        raise WrongKey(
            f"That is not the passphrase of this archive (archive key {envelope.key_id}). Nothing was changed. "
            "If it is lost: leadglass key import, with a recovery copy."
        )


DRAFT: Final = ".next"
"""Ends the name of what is to take another file's place."""

SPOKEN: Final = {
    Source.FILE: "a key file",
    Source.PASSPHRASE: "a passphrase",
    Source.ENVIRONMENT: f"the environment variable {VARIABLE}",
    Source.CREDENTIAL: f"the credential {CREDENTIAL}",
}
"""Sources in words."""


_NOBODY: Final = (
    "The key of this archive is opened by a passphrase, and nobody can be asked for it. Name a file that holds it: "
    "--passphrase-file FILE"
)


def where(lock: Lock, own: Path) -> str:
    """Say where a key comes from."""
    return f"the key file {lock.path or own}" if lock.source is Source.FILE else SPOKEN[lock.source]


def _wrong(envelope: Envelope, what: str) -> WrongKey:
    return WrongKey(
        f"{what} holds a key, but not the one of this archive (archive key {envelope.key_id}). Nothing was changed. "
        "Put the right one there; leadglass key show says what belongs to this archive."
    )
