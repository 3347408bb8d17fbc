"""The desk where an archive's key is looked after: shown, moved, rotated, copied and brought back.

Rule 1. Everything that changes or copies a key is put on record before it is
done and when it is done. Rule 2. Who only looks needs no key: what is shown says
nothing of it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from leadglass.audit.event import Event, Outcome
from leadglass.config import Config
from leadglass.crypto import keyfile, recovery
from leadglass.crypto.envelope import LONGEST, Envelope, Lock, Source
from leadglass.crypto.passphrase import require_good
from leadglass.crypto.sources import where
from leadglass.crypto.wrap import ArchiveKey
from leadglass.errors import BadInput, Misconfigured
from leadglass.folder import Folder
from leadglass.keyring import Keyring, Target
from leadglass.policy.caller import Caller

Recording = Callable[[ArchiveKey], AbstractContextManager[Callable[[Event], int]]]
"""Opens the audit log of an archive, for as long as the block lasts."""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What may be known of a key by anybody who may list the data folder.

    Parameters
    ----------
    id : str
        Of the archive key.
    source : Source
        What opens it.
    where : str
        The same in words, with the key file's path.
    made, rotated, locked : str
        When the archive got its first key, when the one it has by a rotation
        (empty: never), and when the present source was set; ISO 8601, UTC.
    is_settled : bool
        False when a change was interrupted, and is still to be finished.
    """

    id: str
    source: Source
    where: str
    made: str
    rotated: str
    locked: str
    is_settled: bool


class Desk:
    """The desk of one data folder.

    Parameters
    ----------
    folder : Folder
        The data folder.
    keyring : Keyring
        Its key.
    caller : Caller
        Who asks.
    recording : callable
        Opens the audit log.
    """

    def __init__(self, folder: Folder, keyring: Keyring, caller: Caller, recording: Recording) -> None:
        self._folder = folder
        self._keyring = keyring
        self._caller = caller
        self._recording = recording

    def require_ready(self, *, key: bool = True) -> None:
        """Refuse a folder that is not ours or not whole, before anybody is asked for anything.

        Raises
        ------
        Misconfigured
        """
        self._folder.require_ready(key=key)

    def settle(self) -> str:
        """Finish or undo what a crash left over; says what it was, or nothing.

        Raises
        ------
        Busy, Misconfigured, Corrupt
        """
        if self._keyring.is_settled():
            return ""
        if self._keyring.needs_to_be_alone():
            with self._folder.alone(), self._folder.changing_key():
                return "" if self._keyring.is_settled() else self._keyring.settle()
        with self._folder.using(), self._folder.changing_key():
            return "" if self._keyring.is_settled() else self._keyring.settle()

    def show(self) -> KeyFacts:
        """Say what may be known of the key; nothing is opened."""
        self._folder.require_ready()
        if self._keyring.envelope() is None:
            raise Misconfigured(
                "This archive was made by an older Leadglass; any other command on it takes its key over."
            )
        return self._facts(self._keyring.require_envelope())

    def move(self, target: Target) -> KeyFacts:
        """Let another secret open the archive key. Servers may run beside it.

        Raises
        ------
        Misconfigured, BadInput, Busy, Corrupt
        """
        self._folder.require_ready()
        self._keyring.expect(target.source)
        self.settle()
        with self._folder.using(), self._folder.changing_key():
            key = self._keyring.unlock()
            with self._recording(key) as append:
                append(self._event(Outcome.PERMITTED, f"the key is to come from: {target.source}", key))
                envelope = self._keyring.move(target)
                append(self._event(Outcome.DONE, f"the key comes from: {target.source}", key))
        return self._facts(envelope)

    def rotate(self, told: Callable[[int, int], None]) -> KeyFacts:
        """Make a new archive key. No server and no other command may run.

        Raises
        ------
        Busy
            When one runs.
        Full, Misconfigured, Corrupt
            When it cannot be done; nothing was changed then.
        """
        self._folder.require_ready()
        self.settle()
        with self._folder.alone(), self._folder.changing_key():
            old = self._keyring.unlock()
            with self._recording(old) as append:
                append(self._event(Outcome.PERMITTED, "the archive key is to be rotated", old))
            envelope = self._keyring.rotate(told)
            new = self._keyring.unlock()
            with self._recording(new) as append:
                append(self._event(Outcome.DONE, f"the archive key was rotated; it was {old.id}", new))
        return self._facts(envelope)

    def export(self, out: Path | None, passphrase: str = "") -> str:
        """Make a recovery copy of the archive key; on paper without ``out``, whose text is given.

        Parameters
        ----------
        out : Path, optional
            The file to make.
        passphrase : str
            Of the file.

        Raises
        ------
        BadInput
            When the file would lie beside what it opens, or the passphrase is not good enough.
        Misconfigured, Busy, Corrupt
        """
        self._folder.require_ready()
        if out is not None:
            passphrase = require_good(passphrase)
            if out.expanduser().absolute().resolve().is_relative_to(self._folder.path.resolve()):
                raise BadInput("A recovery copy in the data folder is lost together with it. Name another place.")
        self.settle()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._folder.using():
            key = self._keyring.unlock()
            with self._recording(key) as append:
                how = "on paper" if out is None else "in a file"
                append(self._event(Outcome.PERMITTED, f"a recovery copy of the archive key, {how}", key))
            if out is None:
                return recovery.to_paper(key, f"copied {now}")
            keyfile.write_new(out.expanduser(), recovery.to_file(key, passphrase, now, self._keyring.cost))
        return ""

    def restore(self, copy: Path, passphrase: Callable[[], str], target: Target) -> KeyFacts:
        """Bring the archive key back from a recovery copy. No server and no other command may run.

        Parameters
        ----------
        copy : Path
            What ``export`` made, or the four lines typed into a file.
        passphrase : callable
            Gives the copy's passphrase, when it has one.
        target : Target
            What is to open the key from now on.

        Raises
        ------
        Misconfigured, BadInput, Busy, Corrupt
        """
        self._folder.require_ready(key=False)
        data = keyfile.read_private(copy.expanduser(), "The recovery copy", most=LONGEST)
        if recovery.is_file(data):
            key = recovery.from_file(data, passphrase())
        else:
            key = recovery.from_paper(data.decode("utf-8", "replace"))
        with self._folder.alone(), self._folder.changing_key():
            envelope = self._keyring.restore(key, target)
            self._keyring.settle()
            with self._recording(key) as append:
                append(self._event(Outcome.DONE, f"the key was restored; it comes from: {target.source}", key))
        return self._facts(envelope)

    def _facts(self, envelope: Envelope) -> KeyFacts:
        return KeyFacts(
            envelope.key_id,
            envelope.lock.source,
            where(envelope.lock, self._folder.archive_key),
            envelope.life.made,
            envelope.life.rotated,
            envelope.life.locked,
            self._keyring.is_settled(),
        )

    def _event(self, outcome: Outcome, reason: str, key: ArchiveKey) -> Event:
        return Event(
            outcome, "key", caller=str(self._caller), peer="local", door="cli", reason=reason, detail={"key": key.id}
        )


def expected_lock(config: Config) -> Lock | None:
    """Give what the settings say of the key's source; None when they say nothing.

    Raises
    ------
    Misconfigured
        When what they say makes no sense.
    """
    said = config.key
    if not said.source and not said.file:
        return None
    try:
        source = Source(said.source or Source.FILE)
    except ValueError:
        raise Misconfigured(
            f"leadglass.toml: key.source must be one of {', '.join(Source)}, not {said.source!r}."
        ) from None
    if said.file and (source is not Source.FILE or not Path(said.file).is_absolute()):
        raise Misconfigured("leadglass.toml: key.file is a full path, and goes with key.source = 'file' alone.")
    return Lock(source, said.file)
