"""Codec worker: decodes the frames it is sent over a pipe; a process that may be killed at any moment.

Rule: it knows an image's shape and its compressed frames, nothing of a patient;
it opens no file, and its memory is limited before the first codec is loaded.

One job: a header (four bytes of length, JSON), then the frames. One answer: a
header, then the decoded pixel data. It ends when its input does.
"""

import json
import resource
import sys
from typing import Any, BinaryIO, Final

from leadglass.dicom.codecs import Image, decode, packed_bits
from leadglass.errors import BadInput, LeadglassError, Unsupported

_LONGEST_HEADER: Final = 64 << 20


def limit(memory_bytes: int) -> None:
    """Limit this process: address space, no core dumps (they would hold pixels), no child processes to fork."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read_header(stream: BinaryIO) -> dict[str, Any] | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    length = int.from_bytes(head, "big")
    if length > _LONGEST_HEADER:
        return None
    read: dict[str, Any] = json.loads(stream.read(length))
    return read


def _write(stream: BinaryIO, header: dict[str, Any], blocks: list[bytes]) -> None:
    raw = json.dumps(header).encode("ascii")
    stream.write(len(raw).to_bytes(4, "big") + raw)
    stream.writelines(blocks)
    stream.flush()


def _work(job: dict[str, Any], stream: BinaryIO) -> tuple[dict[str, Any], list[bytes]]:
    """Do one job: decode each frame as it arrives. All frames are read, come what may, to stay in step."""
    image = Image(**job["image"])
    decoded: list[bytes] = []
    header: dict[str, Any] = {"photometric": image.photometric, "is_as_stored": True}
    fault: tuple[str, str] | None = None
    for length in job["frames"]:
        data = stream.read(length)
        if fault is not None:
            continue
        try:
            frame = decode(job["transfer_syntax_uid"], data, image)
        except (BadInput, Unsupported) as error:
            fault = (error.kind.value, error.message)
        except MemoryError:
            fault = (BadInput.kind.value, "A frame needs more memory to decode than a worker has.")
        else:
            decoded.append(frame.data)
            header["photometric"] = frame.photometric
            header["is_as_stored"] = frame.is_as_stored
    if fault is not None:
        return {"fault": fault[0], "message": fault[1]}, []
    if image.allocated == 1:
        decoded = [packed_bits(b"".join(decoded))]
    header["length"] = sum(map(len, decoded))
    return header, decoded


def serve(reader: BinaryIO, writer: BinaryIO) -> None:
    """Do jobs until the input ends."""
    while (job := _read_header(reader)) is not None:
        try:
            header, blocks = _work(job, reader)
        except LeadglassError as error:
            header, blocks = {"fault": error.kind.value, "message": error.message}, []
        _write(writer, header, blocks)


def main() -> None:
    """Run as ``python -m leadglass.dicom.codec_worker MEMORY_BYTES``."""
    limit(int(sys.argv[1]))
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
