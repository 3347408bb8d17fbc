"""NFS 4.0, as the survey speaks it: folders from the root down, and how files begin, as nobody (RFC 7530).

Rule 1. Nothing is opened, locked or mounted, so the server keeps nothing of us: a folder
is read by its path, and a file with the stateid of nobody (RFC 7530 9.1.4.3). Rule 2.
Names are given to who counts them and forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from leadglass.survey.gate import Closed, Line
from leadglass.survey.speech.rpc import Reader, call, opaque, words

_PROGRAM: Final = 100_003
_COMPOUND: Final = 1
_GETATTR, _LOOKUP, _PUTROOTFH, _READ, _READDIR = 9, 15, 24, 25, 26
_FILE, _FOLDER = 1, 2
_TYPE, _FSID, _ERROR = 1 << 1, 1 << 8, 1 << 11
_ANSWER: Final = 32 * 1024
_MOST_ANSWERS: Final = 20
"""Answers with names of one visit: together less than a line may take."""

_MOST_FOLDERS: Final = 16
_DEEPEST: Final = 4
OK: Final = 0
OTHER_MINOR: Final = 10_021
"""NFS4ERR_MINOR_VERS_MISMATCH: 4.1 or newer alone."""


class Entry(NamedTuple):
    """A name in a folder."""

    name: bytes
    is_file: bool
    is_folder: bool
    system: bytes
    """Of which file system it is: where it changes, an export begins."""


@dataclass(slots=True)
class Tree:
    """What nobody may see.

    Parameters
    ----------
    status : int
        What the server said to the first question.
    folders : int
        Folders of the server's own that lead to exports.
    tops : int
        Tops of exports that were listed.
    closed : int
        Folders that were not given.
    entries : list of (path, Entry)
        What is there.
    is_whole : bool
        Whether nothing was left out.
    """

    status: int = OK
    folders: int = 0
    tops: int = 0
    closed: int = 0
    entries: list[tuple[tuple[bytes, ...], Entry]] = field(
        default_factory=list[tuple[tuple[bytes, ...], Entry]], repr=False
    )
    is_whole: bool = True


class Nfs4:
    """One connection.

    Parameters
    ----------
    line : Line
        Open.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._answers = _MOST_ANSWERS
        self._status = OK

    async def tree(self) -> Tree:
        """Go from the root to the tops of exports and list those; raises ``Closed`` where it is no NFS 4.

        A server shows folders of its own that lead to exports (RFC 7530 7.3). They
        are of the root's file system and hold folders alone: such are gone into.
        """
        tree = Tree()
        waiting: list[tuple[tuple[bytes, ...], bool]] = [((), False)]
        seen = 0
        while waiting and seen < _MOST_FOLDERS and self._answers:
            seen += 1
            path, is_export = waiting.pop(0)
            status, entries = await self._folder(path, tree)
            if not path:
                tree.status = status
            if status != OK:
                tree.closed += 1
                continue
            if is_export or any(not each.is_folder for each in entries) or len(path) >= _DEEPEST:
                tree.tops += 1
                tree.entries += [(path, each) for each in entries]
                continue
            tree.folders += 1
            own = await self._system(path)
            waiting += [((*path, each.name), each.system != own) for each in entries]
        tree.is_whole = tree.is_whole and not waiting
        return tree

    async def beginning(self, path: Sequence[bytes], count: int) -> bytes | None:
        """Read how a file begins; None where it is refused."""
        reader = await self._ask(path, _READ, bytes(16) + bytes(8) + words(count), f"READ of the first {count} bytes")
        if reader is None:
            return None
        reader.word()
        return reader.opaque()[:count]

    async def _system(self, path: Sequence[bytes]) -> bytes:
        reader = await self._ask(path, _GETATTR, words(1, _FSID), "GETATTR of a folder")
        return b"" if reader is None else _attributes(reader)[1]

    async def _folder(self, path: Sequence[bytes], tree: Tree) -> tuple[int, list[Entry]]:
        found: list[Entry] = []
        cookie, verifier = bytes(8), bytes(8)
        while self._answers:
            self._answers -= 1
            wanted = cookie + verifier + words(_ANSWER // 2, _ANSWER, 1, _TYPE | _FSID | _ERROR)
            reader = await self._ask(path, _READDIR, wanted, "READDIR of a folder")
            if reader is None:
                return (self._status, found) if not found else (OK, found)
            verifier = reader.take(8)
            before = len(found)
            while reader.word():
                cookie = reader.take(8)
                name = reader.opaque()
                kind, system = _attributes(reader)
                found.append(Entry(name, kind == _FILE, kind == _FOLDER, system))
            if reader.word() or len(found) == before:
                return OK, found
        tree.is_whole = False
        return OK, found

    async def _ask(self, path: Sequence[bytes], operation: int, arguments: bytes, act: str) -> Reader | None:
        """Do one thing at a path; gives its results, None where the server says no."""
        steps = [words(_PUTROOTFH), *(words(_LOOKUP) + opaque(each) for each in path), words(operation) + arguments]
        asked = words(0, 0, len(steps)) + b"".join(steps)
        reader = Reader(await call(self._line, _PROGRAM, 4, _COMPOUND, act, asked, as_nobody=True))
        self._status = reader.word()
        if self._status != OK:
            return None
        reader.opaque()
        if reader.word() != len(steps):
            raise Closed("The peer's answer is not one to what was asked.")
        for _ in steps:
            reader.word()  # which operation
            if reader.word() != OK:
                raise Closed("The peer's answer contradicts itself.")
        return reader


def _attributes(reader: Reader) -> tuple[int, bytes]:
    """Read type and file system, as far as they are given (RFC 7530 5.6)."""
    given = [reader.word() for _ in range(reader.count(8))]
    values = Reader(reader.opaque())
    first = given[0] if given else 0
    kind = values.word() if first & _TYPE else 0
    system = values.take(16) if first & _FSID else b""
    return kind, system
