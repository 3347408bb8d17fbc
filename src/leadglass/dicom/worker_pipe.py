"""Worker pipe: the child's side of ``worker_pool``: limits itself, then does job after job until its input ends.

Rule: the limits stand before the first codec is loaded, and no fault of a job
but the end of the input ends the loop out of step.

One job: a header (four bytes of length), then what the header says follows. One
answer: the lengths of its header (four bytes) and body (eight), then both.
"""

import resource
from collections.abc import Callable, Iterable
from typing import BinaryIO, Final

from leadglass.dicom.worker_pool import BODY, HEAD

_LONGEST_HEADER: Final = 64 << 20

Work = Callable[[bytes, BinaryIO], tuple[bytes, list[bytes]]]
"""Given a header and the stream behind it, read all that follows and give the answer's header and body."""


def limit(memory_bytes: int) -> None:
    """Limit this process: address space, no core dumps (they would hold pixels), no files written."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def read_header(stream: BinaryIO) -> bytes | None:
    """Give the next job's header; None at the end of the input, or when it is no header."""
    head = stream.read(HEAD)
    length = int.from_bytes(head, "big")
    if len(head) < HEAD or length > _LONGEST_HEADER:
        return None
    return stream.read(length)


def write_answer(stream: BinaryIO, header: bytes, blocks: Iterable[bytes]) -> None:
    """Write an answer."""
    body = list(blocks)
    stream.write(len(header).to_bytes(HEAD, "big") + sum(map(len, body)).to_bytes(BODY, "big") + header)
    stream.writelines(body)
    stream.flush()


def serve(reader: BinaryIO, writer: BinaryIO, work: Work) -> None:
    """Do jobs until the input ends."""
    while (header := read_header(reader)) is not None:
        write_answer(writer, *work(header, reader))
