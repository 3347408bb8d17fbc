"""Drafts: bytes that wait for the instance they belong to.

Rule 1. They reach the disk only sealed, under a key that is in memory alone. Rule 2.
They are in a file without a name: when nobody holds it, also after a crash, it is gone.
"""

import os
import secrets
from typing import Final, Self

from leadglass.crypto.sealed import IDENTITY, SealedReader, SealedWriter
from leadglass.crypto.wrap import new_key
from leadglass.dicom.source import Blocks
from leadglass.errors import BadInput, Full
from leadglass.vault.objects import disk_error
from leadglass.vault.parts import Parts

_IN_MEMORY: Final = 64 << 10
"""Bytes of a draft that needs no file."""


class _InMemory(Blocks):
    """A short draft, for reading."""

    def view_at(self, offset: int, length: int) -> memoryview:
        """Give the same bytes."""
        return memoryview(self.read_at(offset, length))

    def close(self) -> None:
        """Let go of it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class SealedDraft:
    """One draft. Not for use by two threads at once.

    Parameters
    ----------
    parts : Parts
        The vault's.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._blocks: list[bytes] = []
        self._size = 0
        self._file = -1
        self._key = b""
        self._name = b""
        self._writer: SealedWriter | None = None
        self._is_over = False

    def write(self, *blocks: bytes) -> None:
        """Take the next bytes; raises ``Full``."""
        if self._is_over:
            raise BadInput("Nothing can be added to this draft any more.")
        added = sum(map(len, blocks))
        self._size += added
        if self._size > self._parts.settings.max_instance_bytes:
            raise Full("The bulk data is larger than this archive takes (ingest.max_instance_bytes).")
        if self._writer is None:
            self._blocks.extend(blocks)
            if self._size <= _IN_MEMORY:
                return
            blocks, self._blocks = tuple(self._blocks), []
            added = self._size
            self._begin()
        self._parts.objects.claim(added)
        try:
            if self._writer is not None:
                self._writer.write(*blocks)
        except OSError as error:
            raise disk_error(error) from error

    def _begin(self) -> None:
        self._parts.objects.check_room()
        self._file = self._parts.objects.nameless()
        self._key, self._name = new_key(), secrets.token_bytes(IDENTITY)
        self._writer = SealedWriter(self._file, self._key, self._name, self._parts.scratch)

    def finish(self) -> SealedReader | _InMemory:
        """Give what was written, for reading; who takes it closes it."""
        self._is_over = True
        if self._writer is None:
            return _InMemory(self._blocks)
        try:
            self._writer.finish()
        except OSError as error:
            raise disk_error(error) from error
        file, self._file = self._file, -1
        return SealedReader(file, self._key, self._name)

    def abort(self) -> None:
        """Forget it."""
        self._is_over = True
        self._blocks = []
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
