"""A server that answers success and keeps nothing: how fast the stock client and the wire alone would be.

    python -m benchmarks.sink PORT

Rule: it reads every byte, checks nothing and writes nothing, so no archive behind
the same upper layer can be faster with the same client on the same machine.
"""

import asyncio
import sys
from typing import Final

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


class Sink:
    """Handler and session in one: whoever comes is served, and nothing is kept."""

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
        await message.discard()
        if not isinstance(message.command, CStoreRq):
            await association.abort()
            return
        await association.send(message.context.id, message.command.response(_SUCCESS))

    async def ended(self, how: str) -> None:
        """Nothing was kept, so nothing is let go."""


async def _main(port: int) -> None:
    server = DicomServer(Sink(), WireLimits(), Implementation(IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME))
    await server.listen("127.0.0.1", port, None)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
