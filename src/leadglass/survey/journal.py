"""Journal: every act that sends something, to whom and when; never what was sent.

Rule 1. The line is on disk before the act. Rule 2. A line holds words of ours,
numbers and an address; nothing that a peer said.
"""

import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final, Self

from leadglass.errors import Misconfigured
from leadglass.survey.scope import Address

_MODE: Final = 0o600


class Unrecorded(Misconfigured):
    """An act could not be put down."""


class Journal:
    """One file, a line an act (JSON Lines), added to and never changed.

    Parameters
    ----------
    path : Path
        Made when it is not there, for its owner alone.
    run : str
        The run's id.
    clock : callable
        The time now.

    Raises
    ------
    Misconfigured
        When it cannot be written: without a journal nothing is sent.
    """

    def __init__(self, path: Path, run: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._run = run
        self._clock = clock
        self._path = path
        try:
            # no link of somebody else's is followed, and a pipe keeps nobody waiting
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
            self._file: IO[bytes] = os.fdopen(os.open(path, flags, _MODE), "ab", buffering=0)
            found = os.fstat(self._file.fileno())
            if not stat.S_ISREG(found.st_mode):
                self._file.close()
                raise Misconfigured(f"The journal {path} is no file. Move it away.")
            if found.st_size and os.pread(self._file.fileno(), 1, found.st_size - 1) != b"\n":
                self._file.write(b"\n")  # the last line was cut off: the next is one of its own
        except OSError as error:
            raise Misconfigured(f"The journal {path} cannot be written ({error.strerror}).") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Put it on stable storage, and close it."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()

    def write(self, act: str, check: str, address: Address, port: int, octets: int = 0) -> None:
        """Put an act down.

        Parameters
        ----------
        act : str
            Of our own words: ``connect``, ``A-ASSOCIATE-RQ``, ``GET /system``.
        check : str
            The id of the check on whose behalf.
        address, port
            To whom.
        octets : int
            How many bytes are sent.

        Raises
        ------
        Unrecorded
            When it cannot be put down: it is not done then, and nothing more is.
        """
        said = {
            "time": self._clock().astimezone(UTC).isoformat(timespec="milliseconds"),
            "run": self._run,
            "act": act,
            "check": check,
            "to": f"{address}",
            "port": port,
            "octets": octets,
        }
        line = json.dumps(said, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            is_whole = self._file.write(line) == len(line)
        except OSError as error:
            raise Unrecorded(f"The journal {self._path} cannot be written ({error.strerror}).") from error
        if not is_whole:
            raise Unrecorded(f"The journal {self._path} cannot be written (the disk is full).")
