"""A server that answers success and keeps nothing: how fast the stock client and the wire alone would be.

    python -m benchmarks.sink PORT [FOLDER]

Rule: it reads every byte and checks nothing, so no archive behind the same upper
layer can be faster with the same client on the same machine. With a folder it
keeps what it read: hashed, as plain files, synced in the pattern in which
Leadglass writes. No archive that digests and syncs what it acknowledges can be
faster than that, whatever else it does.
"""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Final

from benchmarks.limits import Log
from leadglass.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from leadglass.wire.association import (
    Acceptance,
    AssociateRequest,
    Implementation,
    Message,
    Peer,
    Rejection,
    ServerAssociation,
)
from leadglass.wire.limits import WireLimits
from leadglass.wire.messages import CStoreRq
from leadglass.wire.server import DicomServer

_SUCCESS: Final = 0


class Keeper:
    """Puts data sets on stable storage: object, folder and log."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.open(folder, os.O_RDONLY)
        self._log = Log(folder / "log")
        self._pool = ThreadPoolExecutor(8)
        self._names = count()

    async def keep(self, blocks: list[bytes]) -> None:
        """Return when it is there."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._write, blocks)

    def _write(self, blocks: list[bytes]) -> None:
        digest = sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(str(next(self._names)), flags, 0o600, dir_fd=self._folder)
        for block in blocks:
            digest.update(block)
        os.writev(descriptor, blocks)
        os.fdatasync(descriptor)
        os.close(descriptor)
        os.fsync(self._folder)
        self._log.append()


class Sink:
    """Handler and session in one: whoever comes is served.

    Parameters
    ----------
    keeper : Keeper, optional
        What keeps; without, nothing is kept.
    """

    def __init__(self, keeper: Keeper | None = None) -> None:
        self._keeper = keeper

    async def peer_connected(self, address: object) -> str | None:  # noqa: ARG002 - everybody may
        """Let it in."""
        return None

    async def connection_failed(self, peer: Peer, reason: str) -> None:
        """Pass over it."""

    async def association_requested(
        self,
        peer: Peer,  # noqa: ARG002 - everybody may
        request: AssociateRequest,
    ) -> "tuple[Acceptance, Sink] | Rejection":
        """Accept every context in its first transfer syntax."""
        return Acceptance(contexts={context.id: context.transfer_syntaxes[0] for context in request.contexts}), self

    async def begun(self, association: ServerAssociation) -> None:
        """Wait for what comes."""

    async def message(self, association: ServerAssociation, message: Message) -> None:
        """Read a C-STORE to its end and say that it succeeded."""
        if self._keeper is not None and message.data is not None:
            await self._keeper.keep([block async for block in message.data])
        await message.discard()
        if not isinstance(message.command, CStoreRq):
            await association.abort()
            return
        await association.send(message.context.id, message.command.response(_SUCCESS))

    async def ended(self, how: str) -> None:
        """Nothing was kept, so nothing is let go."""


async def _main(port: int, folder: Path | None) -> None:
    sink = Sink(Keeper(folder) if folder is not None else None)
    server = DicomServer(sink, WireLimits(), Implementation(IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME))
    await server.listen("127.0.0.1", port, None)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
