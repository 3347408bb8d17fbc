"""Codec worker: decodes and encodes the frames it is sent over a pipe; a process that may be killed at any moment.

Rule: it knows an image's shape and its compressed frames, nothing of a patient;
it opens no file, and its memory is limited before the first codec is loaded.

One job: a header (JSON), then the frames. One answer: a header, then the decoded
pixel data, or the encoded frames one after the other.
"""

import json
import sys
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np

from leadglass.dicom.codecs import Frame, Image, decode, packed_bits
from leadglass.dicom.encoders import encode
from leadglass.dicom.worker_pipe import limit, serve
from leadglass.errors import BadInput, LeadglassError, Unsupported


def _work(job: dict[str, Any], stream: BinaryIO) -> tuple[dict[str, Any], list[bytes]]:
    """Do one job: decode each frame as it arrives. All frames are read, come what may, to stay in step."""
    image = Image(**job["image"])
    decoded: list[bytes] = []
    header: dict[str, Any] = {"photometric": image.photometric, "is_as_stored": True}
    fault: tuple[str, str] | None = None
    lengths: list[int] = header.setdefault("lengths", [])
    for length in job["frames"]:
        data = stream.read(length)
        if fault is not None:
            continue
        try:
            frame = decode(job["transfer_syntax_uid"], data, image)
            if "encode" in job:
                frame = _encoded(job, frame, image)
        except (BadInput, Unsupported) as error:
            fault = (error.kind.value, error.message)
        except MemoryError:
            fault = (BadInput.kind.value, "A frame needs more memory to decode than a worker has.")
        else:
            decoded.append(frame.data)
            lengths.append(len(frame.data))
            header["photometric"] = frame.photometric
            header["is_as_stored"] = frame.is_as_stored
    if fault is not None:
        return {"fault": fault[0], "message": fault[1]}, []
    if image.allocated == 1 and "encode" not in job:
        decoded = [packed_bits(b"".join(decoded))]
    return header, decoded


def _encoded(job: dict[str, Any], frame: Frame, image: Image) -> Frame:
    """Encode a frame that was decoded; color by pixel."""
    data = frame.data
    if image.samples > 1 and frame.is_as_stored and job["is_by_plane"]:
        planes = np.frombuffer(data, dtype=image.dtype).reshape(image.samples, -1)
        data = np.ascontiguousarray(planes.T).tobytes()
    image = replace(image, photometric=frame.photometric)
    return Frame(encode(job["encode"], data, image), frame.photometric)


def answer(header: bytes, stream: BinaryIO) -> tuple[bytes, list[bytes]]:
    """Do one job and put what came of it into words."""
    try:
        said, blocks = _work(json.loads(header), stream)
    except LeadglassError as error:
        said, blocks = {"fault": error.kind.value, "message": error.message}, []
    return json.dumps(said).encode("ascii"), blocks


def main() -> None:
    """Run as ``python -m leadglass.dicom.codec_worker MEMORY_BYTES``."""
    limit(int(sys.argv[1]))
    serve(sys.stdin.buffer, sys.stdout.buffer, answer)


if __name__ == "__main__":
    main()
