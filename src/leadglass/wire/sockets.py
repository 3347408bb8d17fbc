"""First looks at an accepted socket: whether a byte has come, and which one, without taking it."""

import asyncio
import socket


def has_spoken(connection: socket.socket) -> bool:
    """Tell whether a first byte is there already, and leave it where it is."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


async def first_byte(connection: socket.socket) -> int | None:
    """Wait for the peer's first byte and leave it where it is; ``None`` when the peer closed instead."""
    loop = asyncio.get_running_loop()
    descriptor = connection.fileno()
    while True:
        try:
            seen = connection.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            pass
        else:
            return seen[0] if seen else None
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(descriptor, _resolve, ready)
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
