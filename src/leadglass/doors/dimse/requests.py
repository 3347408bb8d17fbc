"""Reading what comes with a request: its identifier, bounded."""

from collections.abc import AsyncIterator

from leadglass.errors import BadInput


async def read_identifier(data: AsyncIterator[bytes] | None, limit: int) -> bytes:
    """Gather an identifier of at most ``limit`` bytes; reads to the end in any case, so that an answer can be sent.

    Raises
    ------
    BadInput
        When there is none, or it is longer.
    """
    if data is None:
        raise BadInput("The request has no identifier.")
    gathered = bytearray()
    size = 0
    async for block in data:
        size += len(block)
        if size <= limit:
            gathered += block
    if size > limit:
        raise BadInput(f"The identifier is longer than {limit} bytes.")
    return bytes(gathered)
