"""The data folder: what lies where in it, and whether it can be trusted with images.

Rule 1. The folder is the operating user's alone (0700, keys 0600); looser is
refused, not repaired, because somebody may have read them already. Rule 2. A
folder that holds something else is never made ours, and of one that is ours in
part nothing is made anew. Rule 3. One server at a time; other commands may work
beside it, except while the key is rotated.
"""

import fcntl
import os
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from leadglass.errors import Busy, Misconfigured
from leadglass.system import sync_folder

_MARK: Final = "Leadglass data folder, format 1\n"
_OPERATORS_OWN: Final = frozenset({"leadglass.toml"})
"""What may lie in an empty folder: the operator's settings, written beforehand."""

_PATIENCE: Final = 10.0
"""Seconds to wait for another command that changes how the key is locked up: it takes milliseconds."""

_LOOK_AGAIN: Final = 0.02
"""Seconds between two looks at a lock."""


class State(Enum):
    """What is at the path of a data folder."""

    ABSENT = "absent"
    """Nothing, or an empty folder: it may be initialised."""
    UNFINISHED = "unfinished"
    """An initialisation was interrupted; nothing was stored yet, it may be run again."""
    READY = "ready"
    """Ours."""
    FOREIGN = "foreign"
    """Something else."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The layout of one data folder.

    Parameters
    ----------
    path : Path
        The folder.
    """

    path: Path

    @property
    def mark(self) -> Path:
        """The file that says that this is a data folder; written last."""
        return self.path / "leadglass.format"

    @property
    def init_lock(self) -> Path:
        """Held while the folder is initialised."""
        return self.path / "leadglass.init"

    @property
    def serve_lock(self) -> Path:
        """Held by the server."""
        return self.path / "leadglass.lock"

    @property
    def ca_certificate(self) -> Path:
        """The certificate authority's certificate, for devices; no secret."""
        return self.path / "ca.pem"

    @property
    def keys(self) -> Path:
        """The folder of secrets."""
        return self.path / "keys"

    @property
    def wrapped_key(self) -> Path:
        """The key that wraps every other key at rest, itself wrapped."""
        return self.keys / "archive.wrapped"

    @property
    def archive_key(self) -> Path:
        """What opens the wrapped key, where that is a file in the folder (and the key itself in an older archive)."""
        return self.keys / "archive.key"

    @property
    def ca_key(self) -> Path:
        """The certificate authority's key, sealed."""
        return self.keys / "ca.pem"

    @property
    def audit_key(self) -> Path:
        """The key that signs the audit log's heads, sealed."""
        return self.keys / "audit.pem"

    @property
    def server_certificate(self) -> Path:
        """The archive's own certificate, and its key, sealed."""
        return self.keys / "server.pem"

    @property
    def index(self) -> Path:
        """The sealed index of what is stored."""
        return self.path / "index.db"

    @property
    def audit(self) -> Path:
        """The sealed audit log."""
        return self.path / "audit.db"

    @property
    def identity(self) -> Path:
        """The sealed list of devices."""
        return self.path / "identity.db"

    @property
    def objects(self) -> Path:
        """The sealed objects."""
        return self.path / "objects"

    def state(self) -> State:
        """Look at what is there.

        Raises
        ------
        Misconfigured
            When the path is not a folder or cannot be read.
        """
        try:
            names = {entry.name for entry in os.scandir(self.path)}
        except FileNotFoundError:
            return State.ABSENT
        except NotADirectoryError:
            raise Misconfigured(f"{self.path} is not a folder. Name a folder with --data.") from None
        except OSError as error:
            raise Misconfigured(
                f"{self.path} cannot be read ({error.strerror}). Run as the user it belongs to, or name another folder."
            ) from error
        if self.mark.name in names:
            return State.READY
        if self.init_lock.name in names:
            return State.UNFINISHED
        return State.FOREIGN if names - _OPERATORS_OWN else State.ABSENT

    def require_ready(self, *, key: bool = True) -> None:
        """Refuse to go on unless the folder is ours, whole and nobody else's.

        Parameters
        ----------
        key : bool
            Whether the key has to be there; it has not for who brings it back.

        Raises
        ------
        Misconfigured
            With what is wrong and what to do about it.
        """
        match self.state():
            case State.READY:
                pass
            case State.ABSENT | State.UNFINISHED:
                raise Misconfigured(f"{self.path} is not initialised. Run: leadglass init --data {self.path}")
            case State.FOREIGN:
                raise Misconfigured(self._foreign())
        self._check_mark()
        self._check_permissions()
        if key and not self.wrapped_key.is_file() and not self.archive_key.is_file():
            raise Misconfigured(
                f"{self.wrapped_key} is missing. Without it nothing stored can be read: restore the whole folder "
                f"{self.keys} from your backup, or use a recovery copy: leadglass key import. Nothing was made anew."
            )
        self.require_whole()

    def require_whole(self) -> None:
        """Refuse a folder of which only a part is there: nothing of it is ever made anew.

        Raises
        ------
        Misconfigured
        """
        for needed, loss in (
            (self.ca_certificate, "Without it no device can be recognised"),
            (self.index, "Without it nothing stored can be found or read"),
            (self.audit, "Without it there is no record of who saw what"),
            (self.identity, "Without it no device is enrolled"),
        ):
            if not needed.is_file():
                raise Misconfigured(f"{needed} is missing. {loss}: restore it from your backup. Nothing was made anew.")
        if not self.objects.is_dir():
            raise Misconfigured(
                f"{self.objects} is missing. Without it there are no images: restore it from your backup, or mount it."
            )

    def require_empty(self) -> None:
        """Refuse to make a first key where something is sealed under another already.

        Raises
        ------
        Misconfigured
        """
        there = next((each for each in (self.index, self.audit, self.identity) if each.exists()), None)
        if there is not None:
            raise Misconfigured(
                f"{there} is there, but no key. No new key is made over it: restore {self.keys} from your backup, "
                "or name another folder with --data."
            )

    def _foreign(self) -> str:
        return (
            f"{self.path} is not empty and is not a Leadglass data folder. "
            "Nothing was changed in it; name an empty or a new folder with --data."
        )

    def _check_mark(self) -> None:
        try:
            text = self.mark.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{self.mark} cannot be read ({error}). Run as the user it belongs to.") from error
        if text != _MARK:
            raise Misconfigured(f"{self.path} was made by another version of Leadglass. Use that version.")

    def _check_permissions(self) -> None:
        secrets = sorted(self.keys.iterdir()) if self.keys.is_dir() else []
        for each in (self.path, self.keys, *secrets):
            with suppress(FileNotFoundError):
                status = each.lstat()
                wanted = 0o700 if stat.S_ISDIR(status.st_mode) else 0o600
                _require_private(each, status, wanted)

    def check_writable(self) -> None:
        """Refuse a folder this process cannot write to.

        Raises
        ------
        Misconfigured
        """
        for each in (self.path, self.objects):
            if each.exists() and not os.access(each, os.W_OK | os.X_OK, effective_ids=True):
                raise Misconfigured(
                    f"{each} cannot be written to. Run as the user it belongs to, and mount it writable."
                )

    def initialise(self, create: Callable[[], None]) -> bool:
        """Make the folder ours: ``create`` fills it, and the mark is written when that ends well.

        Parameters
        ----------
        create : callable
            Makes keys and databases; it may find those of an interrupted run.

        Returns
        -------
        bool
            Whether anything was done: False when the folder was ours already.

        Raises
        ------
        Misconfigured
            When something else is there, or it cannot be written to.
        Busy
            When another process is at it.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            match self.state():
                case State.READY:
                    return False
                case State.FOREIGN:
                    raise Misconfigured(self._foreign())
                case State.ABSENT | State.UNFINISHED:
                    self.path.chmod(0o700)
            with _locked(self.init_lock, "Another process is initialising this data folder. Wait for it."):
                if self.state() is State.READY:
                    return False
                self.keys.mkdir(mode=0o700, exist_ok=True)
                create()
                _write_durably(self.mark, _MARK)
                self.init_lock.unlink()
                return True
        except OSError as error:
            raise Misconfigured(
                f"{self.path} cannot be initialised ({error.strerror}). Name a folder that this user may write to."
            ) from error

    @contextmanager
    def using(self) -> Generator[None]:
        """Work on the archive beside others, and keep the key from being rotated meanwhile.

        Raises
        ------
        Busy
            While the key is rotated.
        """
        with _held(
            self.mark,
            fcntl.LOCK_SH,
            f"The key of {self.path} is being rotated. Wait until that is done; nothing was changed.",
        ):
            yield

    @contextmanager
    def alone(self) -> Generator[None]:
        """Work on the archive with nobody beside: no server and no other command.

        Raises
        ------
        Busy
            When there is somebody.
        """
        with _held(
            self.mark,
            fcntl.LOCK_EX,
            f"A server or another command works on {self.path}. Stop it first (leadglass serve ends with SIGTERM).",
        ):
            yield

    @contextmanager
    def changing_key(self) -> Generator[None]:
        """Change how the key is locked up; servers may run beside it.

        Raises
        ------
        Busy
            When another command does so.
        """
        with _held(self.keys, fcntl.LOCK_EX, "Another command changes the key. Wait until that is done.", _PATIENCE):
            yield

    def is_served(self) -> bool:
        """Say whether a server works on the folder now."""
        try:
            descriptor = os.open(self.serve_lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @contextmanager
    def serving(self) -> Generator[None]:
        """Hold the folder for one server.

        Raises
        ------
        Busy
            When another server works on it.
        """
        with _locked(
            self.serve_lock, f"Another server works on {self.path}. Stop it first, or name another folder with --data."
        ):
            yield


def _require_private(path: Path, status: os.stat_result, wanted: int) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        raise Misconfigured(f"{path} is a symbolic link. Put the file itself there.")
    if mode & ~wanted & 0o077:
        raise Misconfigured(
            f"{path} can be used by others (mode {mode:04o}). See who may have read it, then: chmod {wanted:04o} {path}"
        )
    if status.st_uid != os.geteuid():
        raise Misconfigured(f"{path} belongs to another user. Run as that user, or give it to this one with chown.")


@contextmanager
def _locked(path: Path, refusal: str) -> Generator[None]:
    """Hold an advisory lock; it ends with the process, however that ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(refusal) from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _held(path: Path, how: int, refusal: str, patience: float = 0.0) -> Generator[None]:
    """Hold an advisory lock on what is there already: a refused command leaves nothing behind."""
    end = monotonic() + patience
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}. Run as the user it belongs to.") from error
    try:
        while True:
            try:
                fcntl.flock(descriptor, how | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if monotonic() >= end:
                    raise Busy(refusal) from None
                sleep(_LOOK_AGAIN)
        yield
    finally:
        os.close(descriptor)


def _write_durably(path: Path, text: str) -> None:
    """Write a small file so that it is there whole or not at all."""
    draft = path.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(0o600)
    draft.replace(path)
    sync_folder(path.parent)
