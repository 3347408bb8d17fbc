"""Objects: sealed files on the local disk, in shelves.

Rule 1. Names are random and ours: nothing of a data set becomes a path. Rule 2.
Each process writes to a shelf of its own, and says so with a marker that it
holds locked while it lives; so what a killed process left behind is found by
looking at the few shelves whose marker nobody holds. Rule 3. A shelf's folder
is synced before an index row speaks of an object in it, and after objects are
removed from it before anything forgets that they were to be. Rule 4. After a sync
that failed nothing more is believed of that shelf: the next one would succeed
and tell nothing.

``objects/<shelf>/<object>`` holds the files, ``objects/.open/<shelf>`` the markers.
"""

import ctypes
import errno
import fcntl
import os
import secrets
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

from leadglass.errors import BadInput, Busy, Corrupt, Full, LeadglassError, Misconfigured
from leadglass.system import sync_folder

_SHELF: Final = 6
_OBJECT: Final = 16
_MARKERS: Final = ".open"
_ATTEMPTS: Final = 5
_WRITE: Final = 2
"""``SYNC_FILE_RANGE_WRITE`` of Linux: begin to write what is not being written yet."""

_CLOSING: Final = "The archive is closing. Try again later."

_STEP: Final = 64 << 20
"""Bytes written by all together between two looks at the disk's free space, at most."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is.

    Parameters
    ----------
    shelf : bytes
        6 random bytes.
    name : bytes
        16 random bytes: the object's name and identity.
    """

    shelf: bytes
    name: bytes

    def __str__(self) -> str:
        """Give the path below the folder of objects."""
        return f"{self.shelf.hex()}/{self.name.hex()}"


@dataclass(slots=True)
class _Shelf:
    """A shelf this process writes to."""

    name: bytes
    marker: int
    folder: int
    taken: int = 0
    unsettled: int = 0
    is_failed: bool = False
    unsynced: set[bytes] = field(default_factory=set[bytes])
    """Names that no sync of the folder covers yet."""
    syncing: Lock = field(default_factory=Lock)
    """Held while the folder is synced: an error is told to one of those who sync, and all have to hear of it."""


class Objects:
    """The objects of one archive, as one process sees them. Safe for threads.

    Parameters
    ----------
    folder : Path
        Where the shelves are; made when it is not there.
    per_shelf : int
        Objects in a shelf before the next is begun.
    min_free : int
        Bytes that stay free on the disk.
    """

    def __init__(self, folder: Path, *, per_shelf: int, min_free: int) -> None:
        self._folder = folder
        self._root = str(folder)
        self._markers = folder / _MARKERS
        self._per_shelf = per_shelf
        self._min_free = min_free
        self._step = min(_STEP, min_free // 8)
        self._unlooked = 0
        self._doubtful: list[Place] = []
        self._lock = Lock()
        self._shelf: _Shelf | None = None
        self._open: dict[bytes, _Shelf] = {}
        self._sync_range = _sync_file_range()
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._markers.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)
            sync_folder(folder)
        except OSError as error:
            raise Misconfigured(f"The folder of objects cannot be made: {error.strerror}.") from error

    def _path(self, place: Place) -> str:
        """Give an object's path, as text: one is made for each frame that is given."""
        return f"{self._root}/{place}"

    # --- writing --------------------------------------------------------------

    def check_room(self) -> None:
        """Raise ``Full`` when the disk has less free than has to stay free."""
        try:
            disk = os.statvfs(self._folder)
        except OSError as error:
            raise disk_error(error) from error
        if disk.f_bavail * disk.f_frsize < self._min_free:
            raise Full("The disk of the archive has less space than has to stay free. Make room.")

    def claim(self, octets: int) -> None:
        """Count bytes that are about to be written by anybody, and look at the disk now and then; raises ``Full``."""
        with self._lock:
            self._unlooked += octets
            if self._unlooked < self._step:
                return
            self._unlooked = 0
        self.check_room()

    def create(self) -> tuple[Place, int]:
        """Make an empty object; gives its place and a descriptor that the caller closes.

        It has to be settled, whatever becomes of it.

        Raises
        ------
        Full
        """
        name = secrets.token_bytes(_OBJECT)
        try:
            with self._lock:
                shelf = self._shelf
                if shelf is None or shelf.is_failed or shelf.taken >= self._per_shelf:
                    retired, self._shelf = shelf, None
                    if retired is not None and not retired.unsettled:
                        self._close_shelf(retired)
                    shelf = self._shelf = self._begin_shelf()
                shelf.taken += 1
                shelf.unsettled += 1  # from here on it stays open, whoever retires it
            place = Place(shelf.name, name)
            return place, self._make(shelf, place)
        except OSError as error:
            raise disk_error(error) from error

    def _make(self, shelf: _Shelf, place: Place) -> int:
        """Make the file; not under the lock, for which all would wait while the disk is slow."""
        try:
            file = os.open(self._path(place), os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except BaseException:
            with self._lock:
                if shelf.name in self._open:
                    self._let_go(shelf)
            raise
        shelf.unsynced.add(place.name)
        return file

    def nameless(self) -> int:
        """Make an empty file without a name, which is gone when it is closed; gives a descriptor.

        Raises
        ------
        Full
        """
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            try:
                return os.open(self._folder, os.O_TMPFILE | flags, 0o600)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
                    raise
            # A file system that has none: it has a name for a moment, as an unfinished marker, which sweeps remove.
            path = self._markers / f".{secrets.token_hex(_OBJECT)}"
            file = os.open(path, os.O_CREAT | os.O_EXCL | flags, 0o600)
            path.unlink()
        except OSError as error:
            raise disk_error(error) from error
        return file

    def write_back(self, file: int) -> None:
        """Have the system begin to write a file to the disk, without waiting for it; a hint, no promise."""
        if self._sync_range is not None:
            self._sync_range(file, 0, 0, _WRITE)

    def settle(self, place: Place, *, keep: bool) -> None:
        """Say that an object of this process has its row, or remove it."""
        with self._lock:
            shelf = self._open.get(place.shelf)
            if not keep:
                try:
                    Path(self._path(place)).unlink(missing_ok=True)
                except OSError:  # the disk fails: it stays unsettled, and the next sweep looks at it
                    return
            if shelf is None:  # it was closed meanwhile, and its marker left to the next sweep
                return
            shelf.unsynced.discard(place.name)
            self._let_go(shelf)

    def _let_go(self, shelf: _Shelf) -> None:
        """Count one object less that may still be removed; the lock is held."""
        shelf.unsettled -= 1
        if shelf is not self._shelf and not shelf.unsettled:
            self._close_shelf(shelf)

    def doubt(self, place: Place) -> None:
        """Keep an object of which nobody knows whether its row was committed, until that is certain."""
        with self._lock:
            self._doubtful.append(place)

    def settle_doubts(self, unknown: Callable[[bytes, list[bytes]], Collection[bytes]]) -> None:
        """Settle the doubtful, after a later commit succeeded: the index says now which of them it kept."""
        if not self._doubtful:
            return
        with self._lock:
            doubtful, self._doubtful = self._doubtful, []
        for place in doubtful:
            try:
                is_kept = not unknown(place.shelf, [place.name])
            except Exception:  # noqa: BLE001 - whatever it is, it must not undo what was committed: after the next one
                self.doubt(place)
            else:
                self.settle(place, keep=is_kept)

    def sync(self, places: Iterable[Place]) -> None:
        """Put the names of some of this process's objects on stable storage.

        A sync covers every name that was there when it began: of many that come
        together, most find theirs covered by another's. What a failed sync
        dropped is never written: each object that was waiting for it has to be
        sent again, and the shelf takes no more.
        """
        with self._lock:
            opened = [(self._open.get(place.shelf), place.name) for place in places]
        for shelf, name in opened:
            if shelf is None:
                raise Busy(_CLOSING)
            with shelf.syncing:
                if shelf.name not in self._open:
                    raise Busy(_CLOSING)
                if shelf.is_failed:
                    raise disk_error(OSError(errno.EIO, os.strerror(errno.EIO)))
                if name not in shelf.unsynced:
                    continue
                covered = frozenset(shelf.unsynced)
                try:
                    os.fsync(shelf.folder)
                except OSError as error:
                    shelf.is_failed = True
                    raise disk_error(error) from error
                shelf.unsynced -= covered

    def _begin_shelf(self) -> _Shelf:
        name = secrets.token_bytes(_SHELF)
        path = self._folder / name.hex()
        with ExitStack() as undo:
            undo.callback(self._forget_marker, name)
            marker = self._begin_marker(name)
            undo.callback(os.close, marker)
            sync_folder(self._markers)
            path.mkdir(mode=0o700)
            undo.callback(_remove_folder, path)
            sync_folder(self._folder)
            shelf = _Shelf(name, marker, os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            undo.pop_all()
        self._open[name] = shelf
        return shelf

    def _forget_marker(self, shelf: bytes) -> None:
        for name in (f".{shelf.hex()}", shelf.hex()):
            with suppress(OSError):  # the next sweep removes it
                (self._markers / name).unlink(missing_ok=True)

    def _begin_marker(self, name: bytes) -> int:
        """Make a marker, locked before it has its name, so that nobody can take it for a dead process's."""
        draft = self._markers / f".{name.hex()}"
        for attempt in range(_ATTEMPTS):
            marker = os.open(draft, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
                draft.rename(self._markers / name.hex())
            except (BlockingIOError, FileNotFoundError):  # a sweep came in between
                os.close(marker)
                if attempt == _ATTEMPTS - 1:
                    raise
            except OSError:
                os.close(marker)
                raise
            else:
                return marker
        raise AssertionError("unreachable")

    def _close_shelf(self, shelf: _Shelf) -> None:
        del self._open[shelf.name]
        with suppress(OSError):  # then the marker stays, and the next sweep looks again
            os.fsync(shelf.folder)
            _remove_folder(self._folder / shelf.name.hex())
            self._forget_marker(shelf.name)
        self._close_files(shelf)

    @staticmethod
    def _close_files(shelf: _Shelf) -> None:
        """Close a shelf that is not among the open ones any more; who syncs its folder now still has it."""
        with shelf.syncing:
            os.close(shelf.folder)
            os.close(shelf.marker)

    def close(self) -> None:
        """Let go of the shelves in which everything is settled; the next sweep looks at the others."""
        with self._lock:
            self._shelf = None
            for shelf in list(self._open.values()):
                if shelf.unsettled:
                    del self._open[shelf.name]
                    self._close_files(shelf)
                else:
                    self._close_shelf(shelf)

    # --- reading and removing -------------------------------------------------

    def open(self, place: Place) -> int:
        """Open an object for reading.

        Raises
        ------
        Corrupt
            When it is not there.
        Busy
            When the system lets nobody open anything: that says nothing of the object.
        """
        try:
            return os.open(self._path(place), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise Corrupt("A stored object is missing from the disk. Restore it from a backup.") from error
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
                raise Busy(f"A stored object cannot be opened now: {error.strerror}. Try again later.") from error
            raise Corrupt(f"A stored object cannot be opened: {error.strerror}.") from error

    def will_read(self, place: Place) -> None:
        """Tell the system that an object will be read soon, so that it is in memory then; nobody waits for it."""
        if sys.platform == "linux":
            with suppress(OSError):  # who reads it hears what is wrong
                file = os.open(self._path(place), os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
                finally:
                    os.close(file)

    def remove(self, places: Iterable[Place]) -> list[Place]:
        """Remove objects' files; gives those that are gone for good. Harmless for one that is not there."""
        by_shelf: dict[bytes, list[Place]] = {}
        for place in places:
            by_shelf.setdefault(place.shelf, []).append(place)
        gone: list[Place] = []
        for shelf, here in by_shelf.items():
            with suppress(OSError):  # the next time, then
                path = self._folder / shelf.hex()
                for place in here:
                    (path / place.name.hex()).unlink(missing_ok=True)
                with suppress(FileNotFoundError):
                    sync_folder(path)
                with self._lock:
                    if shelf not in self._open and not self._is_marked(shelf):
                        _remove_folder(path)
                gone += here
        return gone

    def _is_marked(self, shelf: bytes) -> bool:
        return (self._markers / shelf.hex()).exists()

    def listed(self) -> Iterator[tuple[bytes, list[bytes], bool]]:
        """Give each shelf, its objects' names, and whether a process may be writing to it.

        A file whose name is not one of ours is passed over.
        """
        for path in sorted(self._folder.iterdir()):
            shelf = _named(path.name, _SHELF)
            if shelf is not None:
                is_open = self._is_marked(shelf)
                yield shelf, list(_names(path)), is_open

    # --- sweeping -------------------------------------------------------------

    def sweep(self, unknown: Callable[[bytes, list[bytes]], Collection[bytes]]) -> int:
        """Remove what killed processes left without a row; gives how many objects that were.

        Parameters
        ----------
        unknown : callable
            Given a shelf and its objects' names, says which have no row.
        """
        removed = 0
        for marker in sorted(self._markers.iterdir()):
            with suppress(FileNotFoundError):
                file = os.open(marker, os.O_RDWR | os.O_CLOEXEC)
                try:
                    removed += self._sweep_shelf(marker, file, unknown)
                finally:
                    os.close(file)
        return removed

    def _sweep_shelf(self, marker: Path, file: int, unknown: Callable[[bytes, list[bytes]], Collection[bytes]]) -> int:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        if not os.fstat(file).st_nlink:
            return 0
        shelf = _named(marker.name, _SHELF)
        removed = 0
        if shelf is not None:
            path = self._folder / shelf.hex()
            for name in unknown(shelf, list(_names(path))):
                (path / name.hex()).unlink(missing_ok=True)
                removed += 1
            if removed:
                sync_folder(path)  # before nothing speaks of them any more
            _remove_folder(path)
        marker.unlink(missing_ok=True)
        return removed


def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Give the system's call, where there is one: advice to drop the file from memory would begin the same, dearer."""
    call = getattr(ctypes.CDLL(None), "sync_file_range", None) if sys.platform == "linux" else None
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call


def disk_error(error: OSError) -> LeadglassError:
    """Give the kind for an error of the operating system while an object is written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return Full(f"An object cannot be written: {error.strerror}. Make room on the disk of the archive.")
    return Corrupt(f"An object cannot be written: {error.strerror}. Check the disk of the archive.")


def _named(text: str, length: int) -> bytes | None:
    try:
        name = bytes.fromhex(text)
    except ValueError:
        return None
    return name if len(name) == length else None


def _names(shelf: Path) -> Iterator[bytes]:
    with suppress(FileNotFoundError), os.scandir(shelf) as entries:
        for entry in entries:
            name = _named(entry.name, _OBJECT)
            if name is not None:
                yield name


def _remove_folder(path: Path) -> None:
    """Remove a shelf's folder when it is empty."""
    with suppress(OSError):
        path.rmdir()


def place_of(shelf: bytes, name: bytes) -> Place:
    """Give a place from the index, checked."""
    if len(shelf) != _SHELF or len(name) != _OBJECT:
        raise BadInput("That is no place of an object.")
    return Place(shelf, name)
