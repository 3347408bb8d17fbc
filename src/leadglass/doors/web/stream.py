"""Stream: an answer that is made while it is sent, and lets go of what it is made from, however it ends.

Rule: what a body holds it gives back by itself once it was begun. One that never
was (whoever asked had gone, or asked by HEAD) gives back nothing: the answer does.
"""

from collections.abc import AsyncGenerator, Callable, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class Stream(StreamingResponse):
    """An answer in pieces.

    Parameters
    ----------
    body : async generator of bytes or memoryview
        Gives the pieces.
    let_go : callable
        Called when it is over; harmless when the body did the same.
    headers : mapping of str to str
        Fields of the answer.
    status : int
        Its status.
    """

    def __init__(
        self,
        body: AsyncGenerator[bytes | memoryview],
        let_go: Callable[[], object],
        headers: Mapping[str, str],
        status: int = 200,
    ) -> None:
        super().__init__(body, status, headers)
        self._body = body
        self._let_go = let_go

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.end()

    async def end(self) -> None:
        """Let go of everything, whatever was sent."""
        await self._body.aclose()
        self._let_go()
