"""Hops: how the asyncio side of the door calls the synchronous core.

Rule: a hop is never abandoned. When the association is lost meanwhile, the hop
is waited for before the loss is passed on, so that whoever cleans up does not
do so under the feet of a running thread.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

from leadglass.errors import Busy

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """The bounded thread pool in which the core runs.

    Parameters
    ----------
    executor : Executor
        Made, bounded and shut down by the composition root.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` in a thread and give what it gives.

        Raises
        ------
        Busy
            When the pool takes no more work because the archive is stopping.
        """
        try:
            hop = asyncio.wrap_future(self._executor.submit(function, *args, **kwargs))
        except RuntimeError:
            raise Busy("The archive is stopping. Send again later.") from None
        try:
            return await asyncio.shield(hop)
        except asyncio.CancelledError:
            await _settle(hop)
            raise


async def _settle(hop: "asyncio.Future[T]") -> None:
    """Wait until a hop is over, whatever becomes of it, through further cancellations too."""
    while not hop.done():
        try:
            await asyncio.wait([hop])
        except asyncio.CancelledError:
            continue
    if not hop.cancelled():
        hop.exception()  # taken note of: the cancellation is what the caller hears
