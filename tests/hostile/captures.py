"""Conversations of DCMTK's clients with the archive, as the client sent them: the corpus that mutation begins from.

``python -m tests.hostile.captures`` records them anew; only made-up data is sent.
"""

import contextlib
import socket
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

FOLDER: Final = Path(__file__).parent / "recorded"
CLIENT: Final = "OLDSTATION"


@cache
def captures() -> dict[str, bytes]:
    """Give what each client sent, by name."""
    found = {path.stem: path.read_bytes() for path in sorted(FOLDER.glob("*.bin"))}
    assert found, "tests/hostile/recorded is empty: python -m tests.hostile.captures records it"
    return found


def _carry(source: socket.socket, sink: socket.socket, into: bytearray) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            into.extend(block)
            sink.sendall(block)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def _recording(port: int, name: str) -> Generator[int]:
    """Stand between a client and the archive and write down what the client says."""
    said = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", port))
            with near, far:
                answers = threading.Thread(target=_carry, args=(far, near, bytearray()))
                answers.start()
                _carry(near, far, said)
                answers.join()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join(60)
    (FOLDER / f"{name}.bin").write_bytes(said)


def record() -> None:
    """Record a conversation with each of DCMTK's clients."""
    from tests.hostile.images import image
    from tests.peers.dcmtk import Dcmtk
    from tests.peers.leadglass import Leadglass

    FOLDER.mkdir(exist_ok=True)
    dcmtk = Dcmtk()
    with tempfile.TemporaryDirectory() as folder:
        lead = Leadglass(Path(folder))
        lead.do("init")
        lead.device(CLIENT, plaintext=True)
        made = image(Random(1), "2.25.1", 1, sizes=(1_000,))
        made.write(Path(folder) / "made.dcm")
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName=*", "-k", "StudyInstanceUID=2.25.1"]
        names = ["-aet", CLIENT, "-aec", "LEADGLASS"]
        with lead.serve() as doors:
            for name, program, options in (
                ("echo", "echoscu", []),
                ("echo-many-contexts", "echoscu", ["-pts", "12", "-ppc", "12"]),
                ("store", "storescu", []),
                ("store-small-pdus", "storescu", ["-pdu", "4096", "-xi"]),
                ("find", "findscu", ["-S", *keys]),
                ("find-cancel", "findscu", ["-S", "--cancel", "1", *keys]),
                ("get", "getscu", ["-S", "-od", folder, *keys[:2], *keys[4:]]),
                ("move", "movescu", ["-S", "-aem", "NOBODY", *keys[:2], *keys[4:]]),
                ("abort", "echoscu", ["--abort"]),
            ):
                sent = [Path(folder) / "made.dcm"] if program == "storescu" else []
                with _recording(doors.plain[1], name) as port:
                    said = dcmtk(program, *names, *options, "127.0.0.1", str(port), *sent)
                assert (FOLDER / f"{name}.bin").stat().st_size, said.said


if __name__ == "__main__":
    record()
