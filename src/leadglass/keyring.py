"""The keyring: the archive key of one data folder, made, opened, moved, rotated and brought back.

Rule 1. A change counts from one step on: the envelope is replaced. What is made
before that is a draft (``….next``) that may be thrown away; what is left to do
after it stands in the envelope's ``pending`` and is finished by whoever comes
next. So a crash anywhere leaves the old state or the new one. Rule 2. A key is
never made over something that is sealed. Rule 3. The old secret is overwritten
only when the new one opened everything.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never

from leadglass.crypto import keyfile, pem, rekey
from leadglass.crypto.database import open_sealed
from leadglass.crypto.envelope import LONGEST, Envelope, Life, Lock, Source, parse
from leadglass.crypto.passphrase import COST, Cost, Stretch, require_good
from leadglass.crypto.sources import DRAFT, Given, where
from leadglass.crypto.wrap import ArchiveKey, new_key
from leadglass.errors import BadInput, Busy, Full, LeadglassError, Misconfigured
from leadglass.folder import Folder
from leadglass.system import sync_folder, utc_now

if TYPE_CHECKING:
    import sqlite3

Change = Callable[["sqlite3.Connection", ArchiveKey, ArchiveKey], None]
"""Wraps anew what a database holds wrapped: told the old key and the new one."""

_FORGET: Final = "forget "
"""Begins a pending step that overwrites and removes a file."""

_ROOM: Final = 64 * 1024 * 1024
"""Bytes that stay free beside the copies."""


@dataclass(frozen=True, slots=True)
class SealedDatabase:
    """A database under a key that is derived from the archive key.

    Parameters
    ----------
    path : Path
        The database.
    label : str
        What its key is derived by.
    change : callable, optional
        Wraps anew what it holds wrapped.
    """

    path: Path
    label: str
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A private key under a password that is derived from the archive key.

    Parameters
    ----------
    path : Path
        The PEM file.
    label : str
        What its password is derived by.
    """

    path: Path
    label: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """Everything in a data folder that the archive key opens."""

    databases: tuple[SealedDatabase, ...]
    keys: tuple[SealedKey, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of it."""
        return tuple(each.path for each in (*self.databases, *self.keys))


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """Where the secret is to come from.

    Parameters
    ----------
    source : Source
        Of which kind.
    file : Path, optional
        For ``FILE``: the key file, which is made; None for the data folder's own.
        For ``CREDENTIAL`` and ``ENVIRONMENT``: a file with what will be handed
        over; None when it is handed over already.
    passphrase : str
        For ``PASSPHRASE``: the new one.
    """

    source: Source = Source.FILE
    file: Path | None = None
    passphrase: str = field(default="", repr=False)


def _nothing(_step: str) -> None:
    """Go on."""


class Keyring:
    """The key of one data folder.

    Parameters
    ----------
    folder : Folder
        The data folder.
    given : Given
        What the process was handed.
    sealed : callable
        Names everything that the key opens.
    cost : Cost
        What a guess at a new passphrase is to cost.
    clock : callable
        The time now, with its zone.
    at : callable
        Told before each step of a change; for tests, which stop there.
    """

    def __init__(
        self,
        folder: Folder,
        given: Given,
        sealed: Callable[[], Sealed],
        *,
        cost: Cost = COST,
        clock: Callable[[], datetime] = utc_now,
        at: Callable[[str], None] = _nothing,
    ) -> None:
        self.folder = folder
        self._given = given
        self._find_sealed = sealed
        self.cost = cost
        self._clock = clock
        self._at = at

    @property
    def _sealed(self) -> Sealed:
        return self._find_sealed()

    def expect(self, source: Source) -> None:
        """Take note that the key is to come from there."""
        self._given.expect(source)

    # --- reading --------------------------------------------------------------

    def envelope(self) -> Envelope | None:
        """Read the envelope; None when there is none."""
        if not self.folder.wrapped_key.exists():
            return None
        return parse(keyfile.read_private(self.folder.wrapped_key, "The wrapped archive key", most=LONGEST))

    def require_envelope(self) -> Envelope:
        """Read the envelope; raises ``Misconfigured`` when there is none."""
        found = self.envelope()
        if found is None:
            raise Misconfigured(f"{self.folder.wrapped_key} is missing. Restore it, or use: leadglass key import")
        return found

    def unlock(self, expected: Lock | None = None) -> ArchiveKey:
        """Give the archive key.

        Parameters
        ----------
        expected : Lock, optional
            What the operator's settings say of the source.

        Raises
        ------
        WrongKey
            When what is there is another archive's.
        Misconfigured
            When it is not there, with where it was looked for; when it is not clear which of two is meant.
        Corrupt
            When the envelope was changed.
        """
        envelope = self.require_envelope()
        own = self.folder.archive_key
        if expected is not None and (expected.source, expected.path) != (envelope.lock.source, envelope.lock.path):
            raise Misconfigured(
                f"leadglass.toml says in [key] that the key comes from {where(expected, own)}, but it comes from "
                f"{where(envelope.lock, own)}. Correct the settings, or use: leadglass key move"
            )
        is_own = envelope.lock.source is Source.FILE and not envelope.lock.path
        if own.exists() and not is_own and not envelope.pending:
            raise Misconfigured(
                f"{own} is there, but the key of this archive comes from {where(envelope.lock, own)}. Move that file "
                "away: it may belong to another archive, or to an older state of this one."
            )
        return envelope.open(self._given.secret(envelope, own))

    # --- making ---------------------------------------------------------------

    def create(self, expected: Lock | None = None, target: Target | None = None) -> ArchiveKey:
        """Make the first key of a folder, or go on where that was interrupted.

        Parameters
        ----------
        expected : Lock, optional
            What the operator's settings say of the source.
        target : Target, optional
            What the command says of it.

        Raises
        ------
        Misconfigured
            When something is sealed under a key that is not there.
        BadInput
            When the passphrase is not good enough.
        """
        if self.envelope() is not None:
            self._settle_lock()
            return self.unlock(expected)
        self.folder.require_empty()
        wanted = self._first(expected, target)
        self._given.require_only(wanted.source)
        lock, secret = self._prepare(wanted, None)
        now = self._now()
        key = ArchiveKey.new()
        self._put(Envelope.seal(key, secret, lock, Life(now, "", now)))
        self._given.remember(secret)
        self._settle_lock()
        return key

    def adopt(self) -> None:
        """Make the envelope of an archive that has its key in a file, as the first version kept it.

        Nobody else may use the folder.

        Raises
        ------
        Misconfigured
            When the key does not open the archive.
        """
        written = keyfile.read(self.folder.archive_key)
        if written.word != keyfile.ARCHIVE:
            raise Misconfigured(
                f"{self.folder.wrapped_key} is missing, and {self.folder.archive_key} alone opens nothing. Restore "
                f"the whole folder {self.folder.keys} from one backup, or use: leadglass key import"
            )
        key = ArchiveKey(written.secret)
        self._require_opens(key, "The archive key")
        for each in self._sealed.keys:
            data = keyfile.read_private(each.path, "The key", most=pem.LONGEST) if each.path.exists() else b""
            if data and not pem.is_sealed(data):
                self._draft(each.path, pem.resealed(data, None, key.password(each.label), str(each.path)))
        made = datetime.fromtimestamp(self.folder.archive_key.stat().st_mtime, UTC).isoformat(timespec="seconds")
        pending = self._names(self._sealed.keys)
        self._put(Envelope.seal(key, written.secret, Lock(Source.FILE), Life(made, "", made), pending))
        self.settle()

    def _first(self, expected: Lock | None, target: Target | None) -> Target:
        """Give where the first key goes."""
        if expected is None:
            wanted = target or Target()
        else:
            wanted = target or Target(expected.source, Path(expected.path) if expected.path else None)
            if (wanted.source, str(wanted.file or "")) != (expected.source, expected.path):
                raise Misconfigured("leadglass.toml says otherwise in [key]. Name the source there or here, not both.")
        if wanted.source is Source.PASSPHRASE and not wanted.passphrase:
            return replace(wanted, passphrase=self._given.new_passphrase())
        return wanted

    # --- moving ---------------------------------------------------------------

    def move(self, target: Target) -> Envelope:
        """Let another secret open the archive key; the archive key stays, and with it everything sealed.

        Raises
        ------
        BadInput, Misconfigured, Corrupt
        """
        old = self.require_envelope()
        self._given.expect(target.source)
        key = self.unlock()
        lock, secret = self._prepare(target, old.lock)
        is_left = old.lock == Lock(Source.FILE) != lock
        pending = (_FORGET + self._name(self.folder.archive_key),) if is_left else ()
        self._at("move")
        self._put(Envelope.seal(key, secret, lock, replace(old.life, locked=self._now()), pending))
        self._at("moved")
        self._given.remember(secret)
        self._settle_lock()
        self._finish(key, secret)
        return self.require_envelope()

    def restore(self, key: ArchiveKey, target: Target) -> Envelope:
        """Bring the archive key back from a recovery copy, under a new lock.

        Raises
        ------
        Misconfigured
            When it is not the key of this archive.
        BadInput
        """
        self._given.require_only(target.source)
        try:
            old = self.envelope()
        except LeadglassError:
            old = None  # damaged: that is what recovery copies are for
        if old is not None and old.key_id != key.id:
            raise Misconfigured(
                f"The recovery copy is of the archive key {key.id}, and this archive has {old.key_id}. It is another "
                "archive's, or from before a rotation. Nothing was changed."
            )
        if old is None or not old.pending:
            self._require_opens(key, "The recovery copy")
        now = self._now()
        lock, secret = self._prepare(target, None if old is None else old.lock, over=True)
        life = Life(now, "", now) if old is None else replace(old.life, locked=now)
        pending = () if old is None else old.pending
        if lock == Lock(Source.FILE):
            pending = tuple(each for each in pending if not each.startswith(_FORGET))
        elif self.folder.archive_key.exists():
            pending = (*pending, _FORGET + self._name(self.folder.archive_key))
        self._put(Envelope.seal(key, secret, lock, life, tuple(dict.fromkeys(pending))))
        self._given.remember(secret)
        self._settle_lock()
        self._finish(key, secret)
        return self.require_envelope()

    # --- rotating -------------------------------------------------------------

    def rotate(self, told: Callable[[int, int], None]) -> Envelope:
        """Give the archive a new key, and everything sealed by the old one the new one instead.

        Nobody else may use the folder.

        Parameters
        ----------
        told : callable
            Told how many bytes of how many are done.

        Raises
        ------
        Busy, Full, Corrupt, Misconfigured
            When it cannot be done; nothing was changed then.
        """
        envelope = self.require_envelope()
        old = self.unlock()
        secret = self._given.secret(envelope, self.folder.archive_key)
        self._require_room()
        new = ArchiveKey.new()
        try:
            if envelope.lock.source is Source.FILE:
                secret = new_key()
                path = Path(envelope.lock.path) if envelope.lock.path else self.folder.archive_key
                self._at("key file")
                self._draft(path, f"{keyfile.to_text(secret)}\n".encode("ascii"))
            self._reseal(old, new, told)
            pending = self._names((*self._sealed.databases, *self._sealed.keys))
            life = replace(envelope.life, rotated=self._now(), locked=self._now())
            sealed = Envelope.seal(new, secret, envelope.lock, life, pending)
            self._at("commit")
        except BaseException:
            self._undo()
            raise
        self._put(sealed)
        self._given.remember(secret)
        self._at("committed")
        self.settle()
        return self.require_envelope()

    def _reseal(self, old: ArchiveKey, new: ArchiveKey, told: Callable[[int, int], None]) -> None:
        """Make the drafts of everything."""
        sizes = [each.path.stat().st_size for each in self._sealed.databases]
        for number, each in enumerate(self._sealed.databases):
            self._at(f"database {each.path.name}")
            told(sum(sizes[:number]), sum(sizes))
            change = each.change
            rekey.copy_under(
                each.path,
                _draft_of(each.path),
                old.derive(each.label),
                new.derive(each.label),
                None if change is None else (lambda connection, change=change: change(connection, old, new)),
            )
        told(sum(sizes), sum(sizes))
        for each in self._sealed.keys:
            if each.path.exists():
                self._at(f"key {each.path.name}")
                data = keyfile.read_private(each.path, "The key", most=pem.LONGEST)
                resealed = pem.resealed(data, old.password(each.label), new.password(each.label), str(each.path))
                self._draft(each.path, resealed)
        self._at("folders")
        sync_folder(self.folder.path)

    def _require_room(self) -> None:
        needed = sum(each.path.stat().st_size for each in self._sealed.databases) + _ROOM
        free = shutil.disk_usage(self.folder.path).free
        if free < needed:
            raise Full(
                f"Rotating the key needs room for a copy of the databases: {needed:,} bytes, {free:,} are free. "
                "Make room, then try again; nothing was changed."
            )

    # --- after a crash --------------------------------------------------------

    def is_settled(self) -> bool:
        """Say whether nothing is left over from a change that was interrupted."""
        envelope = self.envelope()
        return envelope is not None and not envelope.pending and not any(each.exists() for each in self._drafts())

    def needs_to_be_alone(self) -> bool:
        """Say whether what is left over is in the way of others."""
        envelope = self.envelope()
        return envelope is None or any(not each.startswith(_FORGET) for each in envelope.pending)

    def settle(self) -> str:
        """Finish or undo what a crash left over; says what it was, or nothing."""
        envelope = self.envelope()
        if envelope is None:
            self.adopt()
            return "the key of an older version was taken over"
        secret = self._given.secret(envelope, self.folder.archive_key)
        key = envelope.open(secret)
        is_half_done = bool(envelope.pending)
        self._settle_lock()
        self._finish(key, secret)
        is_undone = self._undo()
        if is_half_done:
            return "a change of the key that was interrupted is finished"
        return "a change of the key that was interrupted is undone" if is_undone else ""

    def _finish(self, key: ArchiveKey, secret: bytes) -> None:
        """Do what is pending, and say in the envelope that it is done."""
        envelope = self.require_envelope()
        if not envelope.pending:
            return
        databases = {self._name(each.path): each.path for each in self._sealed.databases}
        keys = {self._name(each.path): each.path for each in self._sealed.keys}
        for step in envelope.pending:
            self._at(f"pending {step}")
            if step in databases:
                rekey.put_in_place(_draft_of(databases[step]), databases[step])
            elif step in keys:
                if _draft_of(keys[step]).exists():
                    keyfile.replace_and_forget(_draft_of(keys[step]), keys[step])
            elif step == _FORGET + self._name(self.folder.archive_key):
                keyfile.overwrite(self.folder.archive_key)
            else:
                raise Misconfigured("A change of the key was begun by another version of Leadglass. Use that version.")
        sync_folder(self.folder.path)
        sync_folder(self.folder.keys)
        self._at("done")
        self._put(Envelope.seal(key, secret, envelope.lock, envelope.life))
        self._at("end")

    def _settle_lock(self) -> None:
        """Put the key file's draft in its place when it is the one that counts."""
        envelope = self.require_envelope()
        if envelope.lock.source is not Source.FILE:
            return
        path = Path(envelope.lock.path) if envelope.lock.path else self.folder.archive_key
        draft = _draft_of(path)
        if not draft.exists():
            return
        try:
            counts = envelope.is_opened_by(keyfile.read(draft).secret)
        except Misconfigured:
            counts = False  # half written: what is in the file's place counts
        if counts:
            self._at("key file in place")
            keyfile.replace_and_forget(draft, path)

    def _undo(self) -> bool:
        """Throw drafts away; says whether there were any. Nothing is pending."""
        there = [each for each in self._drafts() if each.exists()]
        for each in there:
            if each.parent == self.folder.path:
                rekey.remove(each)
            else:
                keyfile.overwrite(each)
        return bool(there)

    def _drafts(self) -> Sequence[Path]:
        drafts = [_draft_of(each) for each in (*self._sealed.paths, self.folder.archive_key, self.folder.wrapped_key)]
        with suppress(LeadglassError):
            envelope = self.envelope()
            if envelope is not None and envelope.lock.path:
                drafts.append(_draft_of(Path(envelope.lock.path)))
        return drafts

    # --- parts ----------------------------------------------------------------

    def _prepare(self, target: Target, old: Lock | None, *, over: bool = False) -> tuple[Lock, bytes]:
        """Get the secret of a new lock ready, a key file as a draft; nothing counts yet."""
        match target.source:
            case Source.FILE:
                path = self.folder.archive_key if target.file is None else self._outside(target.file)
                lock = Lock(Source.FILE, "" if target.file is None else str(path))
                if path.exists() and lock != old and not over and (target.file is not None or old is not None):
                    raise Misconfigured(f"{path} is there already; it is not replaced. Name a file that is not there.")
                secret = new_key()
                self._at("key file")
                self._draft(path, f"{keyfile.to_text(secret)}\n".encode("ascii"))
                return lock, secret
            case Source.PASSPHRASE:
                stretch = Stretch.new(self.cost)
                return Lock(target.source, stretch=stretch), stretch.key(require_good(target.passphrase))
            case Source.ENVIRONMENT:
                secret = keyfile.read(target.file).secret if target.file is not None else self._given.of_variable()
                return Lock(target.source), secret
            case Source.CREDENTIAL:
                secret = keyfile.read(target.file).secret if target.file is not None else self._given.of_credential()
                return Lock(target.source), secret
            case _:
                assert_never(target.source)

    def _outside(self, path: Path) -> Path:
        """Refuse a place for a key file that is none."""
        path = path.expanduser().absolute()
        if not path.parent.is_dir():
            raise Misconfigured(f"{path.parent} is not there. Mount or make it, then try again.")
        path = path.parent.resolve() / path.name
        if path.is_relative_to(self.folder.path.resolve()):
            raise BadInput(
                f"{path} is in the data folder; a key file elsewhere keeps the two apart. Name another place, or leave "
                "it away for the folder's own."
            )
        return path

    def _require_opens(self, key: ArchiveKey, what: str) -> None:
        """Refuse a key that does not open this archive's databases."""
        for each in self._sealed.databases:
            try:
                with closing(open_sealed(each.path, key.derive(each.label))):
                    pass
            except Busy:
                raise
            except LeadglassError as error:
                raise Misconfigured(
                    f"{what} {key.id} does not open {each.path}: it is the key of another archive, or of another state "
                    "of this one. Nothing was changed."
                ) from error

    def _draft(self, path: Path, data: bytes) -> None:
        draft = _draft_of(path)
        if draft.exists():
            keyfile.overwrite(draft)
        keyfile.write_new(draft, data)

    def _put(self, envelope: Envelope) -> None:
        """Make an envelope count."""
        self._draft(self.folder.wrapped_key, envelope.to_bytes())
        keyfile.replace(_draft_of(self.folder.wrapped_key), self.folder.wrapped_key)

    def _names(self, each: Sequence[SealedDatabase | SealedKey]) -> tuple[str, ...]:
        return tuple(self._name(one.path) for one in each)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder.path).as_posix()

    def _now(self) -> str:
        return self._clock().isoformat(timespec="seconds")


def _draft_of(path: Path) -> Path:
    return path.with_name(path.name + DRAFT)
