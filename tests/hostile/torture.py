"""Torture: an archive under load whose processes are killed again and again, and looked at after each time.

Rule: what is drawn at random comes from one seed, which is said when something fails.

``python -m tests.hostile.torture --kills 200`` runs the long version.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Final

from leadglass.app import App
from tests.hostile.book import Book
from tests.hostile.checks import check_door, check_folder
from tests.hostile.images import Image, image
from tests.hostile.plain import Lost, Plain
from tests.hostile.shim import Disk
from tests.hostile.storer import Storer
from tests.peers.leadglass import EVERYTHING, Leadglass
from tests.peers.running import wait_until

AE_TITLE: Final = "TORTURE"
_SENDERS: Final = 4
_STORERS: Final = 2
_IMPORTED: Final = 25
_LARGEST: Final = 60_000_000
"""Bytes beyond which studies are deleted between two rounds, so that a round stays short."""

SETTINGS: Final = "[ingest]\nmin_free_bytes = 0\n[audit]\nwindow = 1.0\n"


class Torture:
    """One archive, its book, and what was done to it.

    Parameters
    ----------
    folder : Path
        Empty; the data folder and logs go below it.
    seed : int
        Of everything that is drawn.
    program : sequence of str
        How the server is run.
    web : bool
        Whether the web door is open, and some send by STOW-RS.

    Attributes
    ----------
    env : dict of str
        Added to the environment of the server and of the commands that are killed.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        program: Sequence[str] = (sys.executable, "-m", "leadglass"),
        web: bool = False,
    ) -> None:
        self.folder = folder
        self.seed = seed
        self.program = program
        self.web = web
        self.env: dict[str, str] = {}
        self.book = Book()
        self.counts = Counter[str]()
        self.faults: list[BaseException] = []
        self.lead = Leadglass(folder)
        self.draw = Random(seed)
        self.allowed = {0, 0x0111}
        self._number = 0
        self._port: int | None = None
        self._web_port = 0
        self._token = ""
        self.server: subprocess.Popen[bytes]

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.lead.data

    def begin(self, settings: str = SETTINGS) -> None:
        """Initialise the archive and enrol the sender."""
        self.lead.do("init")
        (self.data / "leadglass.toml").write_text(settings)
        until = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
        lane = ("--plaintext", "--until", until, "--bulk", "a test", "--bulk-until", until)
        self.lead.do("device", "add", AE_TITLE, "--address", "127.0.0.1/32", "--allow", EVERYTHING, *lane)
        if self.web:
            self._token = self.lead.do("token", "create", AE_TITLE, "--role", "service", "--ttl", "24h").strip()

    # --- processes --------------------------------------------------------------

    def start(self, *, env: dict[str, str] | None = None) -> None:
        """Begin to serve, in a process group of its own."""
        command = [
            *self.program, "serve", "--json", "--data", str(self.data),
            "--dicom-tls", "", "--dicom", "127.0.0.1:0", *(("--http", "127.0.0.1:0") if self.web else ()),
        ]  # fmt: skip
        with self.lead.log.open("ab") as log:
            self.server = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.env, **(env or {})},
            )

    def _ready(self) -> int | None:
        """Wait until it serves; gives the port, None when it died before."""
        assert self.server.stdout is not None
        port = None
        for line in self.server.stdout:
            said = json.loads(line)
            if said["ready"] == "all":
                return port
            found = int(str(said["address"]).rpartition(":")[2])
            if said["ready"] == "https":
                self._web_port = found
            else:
                port = found
        return None

    def storer(self) -> Storer:
        """Give a client of the web door, which has to be open."""
        return Storer(self._web_port, self._token, self.data / "ca.pem")

    def command(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Begin a command that may be killed."""
        return subprocess.Popen(
            [sys.executable, "-m", "leadglass", *arguments, "--data", str(self.data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **self.env},
        )

    # --- load -------------------------------------------------------------------

    def study_uid(self) -> str:
        """Give a Study Instance UID that was not used before."""
        self._number += 1
        return f"1.2.826.0.1.{self.seed}.{self._number}"

    @contextmanager
    def load(self, port: int) -> Generator[Event]:
        """Keep senders, readers, an import and now and then a deletion going; when the block ends, so do they."""
        stop = Event()
        work: list[Callable[[], None]] = [self._sender(port, stop, Random(self.draw.random())) for _ in range(_SENDERS)]
        if self.web:
            work += [self._storer(stop, Random(self.draw.random())) for _ in range(_STORERS)]
        work.append(self._reader(port, stop, Random(self.draw.random())))
        if self.draw.random() < 0.5:
            work.append(self._importer(stop, Random(self.draw.random())))
        if self.draw.random() < 0.4:
            work.append(self._deleter(stop, Random(self.draw.random())))
        threads = [Thread(target=self._guarded, args=(each,)) for each in work]
        for thread in threads:
            thread.start()
        try:
            yield stop
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        if self.faults:
            raise self.faults[0]

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Lost:
            self.counts["associations lost"] += 1
        except BaseException as error:  # noqa: BLE001 - raised where the load ends
            self.faults.append(error)

    def _sender(self, port: int, stop: Event, draw: Random) -> Callable[[], None]:
        def send() -> None:
            with Plain(port, AE_TITLE) as peer:
                while not stop.is_set():
                    study_uid = self.study_uid()
                    with self.book.using(study_uid):
                        for number in range(draw.randint(1, 30)):
                            if stop.is_set():
                                break
                            self._send_one(peer, study_uid, number, draw)

        return send

    def _send_one(self, peer: Plain, study_uid: str, number: int, draw: Random) -> None:
        """Send a new image; now and then one again, or another under the UID of one that is there."""
        with self._drawn(study_uid, number, draw) as made:
            status = peer.store(made.sop_instance_uid, made.data)
            self.counts[f"C-STORE {status:04X}"] += 1
            assert status in self.allowed, f"C-STORE was answered with {status:04X}"
            self.book.answered(made, status)

    @contextmanager
    def _drawn(self, study_uid: str, number: int, draw: Random) -> Generator[Image]:
        """Give what is sent next, and keep its study from being deleted inside the block."""
        kind = draw.random()
        again = self.book.use_image(draw) if kind < 0.2 else None
        if again is None:
            made = image(draw, study_uid, number)
        elif kind < 0.06:
            made = image(draw, again.study_uid, int(again.sop_instance_uid.rpartition(".")[2]), variant="other")
        else:
            made = again
        try:
            self.book.sending(made)
            yield made
        finally:
            if again is not None:
                self.book.leave(again.study_uid)

    def _storer(self, stop: Event, draw: Random) -> Callable[[], None]:
        """Send several images in each request."""

        def send() -> None:
            with self.storer() as peer:
                while not stop.is_set():
                    study_uid = self.study_uid()
                    with self.book.using(study_uid):
                        self._store_some(peer, study_uid, draw)

        return send

    def _store_some(self, peer: Storer, study_uid: str, draw: Random) -> None:
        with ExitStack() as stack:
            images: dict[str, Image] = {}
            for number in range(draw.randint(1, 20)):
                made = stack.enter_context(self._drawn(study_uid, number, draw))
                images.setdefault(made.sop_instance_uid, made)
            for made, status in zip(images.values(), peer.store(list(images.values())), strict=True):
                self.counts[f"STOW-RS {status:04X}"] += 1
                assert status in self.allowed, f"STOW-RS was answered with {status:04X}"
                self.book.answered(made, status)

    def _reader(self, port: int, stop: Event, draw: Random) -> Callable[[], None]:
        def read() -> None:
            while not stop.wait(0.05):
                check_door(port, AE_TITLE, self.book, draw, most=1)
                self.counts["read under load"] += 1

        return read

    def _importer(self, stop: Event, draw: Random) -> Callable[[], None]:
        def bring() -> None:
            study_uid = self.study_uid()
            images = [image(draw, study_uid, number) for number in range(_IMPORTED)]
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                for number, each in enumerate(images):
                    self.book.sending(each)
                    each.write(Path(folder) / f"{number}.dcm")
                process = self.command("import", folder, "--json")
                out = _until(process, stop)
                if out:
                    tally = json.loads(out)
                    left_out = {Path(each["path"]).stem for each in tally["not_taken"]}
                    for number, each in enumerate(images):
                        if str(number) not in left_out:
                            self.book.answered(each, 0)
                    self.counts["imports to the end"] += 1
                else:
                    self.counts["imports killed"] += 1

        return bring

    def _deleter(self, stop: Event, draw: Random) -> Callable[[], None]:
        def delete() -> None:
            study_uid = self.book.take_study(draw)
            if study_uid is None:
                return
            process = self.command("delete", "--study", study_uid, "--yes")
            done = _until(process, stop)
            if done is not None and process.returncode == 0:
                self.book.forget(study_uid)
                self.counts["deletions to the end"] += 1
            else:
                self.counts["deletions killed"] += 1

        return delete

    # --- rounds -----------------------------------------------------------------

    def round(self, *, most: int = 100) -> None:
        """Load the archive, kill it, serve it again, and look."""
        port = self.serve()
        with self.load(port):
            self._wait(self.draw.randrange(most))
            self.kill()
        if self.draw.random() < 0.1:  # in the middle of its start, too
            self.start()
            time.sleep(self.draw.uniform(0.2, 1.0))
            self.kill()
            self.counts["killed while starting"] += 1
        self.look()

    def die(self, disk: Disk, *, most: int = 600) -> None:
        """Serve until the server dies at a call that changes the disk, in its start or under load, and look."""
        self.end()
        self.start(env=disk.dying(self.draw.randrange(1, most)))
        port = self._ready()
        if port is not None:
            with self.load(port):
                self._wait(most)
        self.counts["died at a call"] += self.server.poll() == -signal.SIGKILL
        self.kill()
        self.look()

    def _wait(self, acknowledged: int) -> None:
        """Wait for so many acknowledgements, then a moment that belongs to no call; or for the server's own death."""
        wanted = self.counts["C-STORE 0000"] + acknowledged
        until = time.monotonic() + 20
        while self.counts["C-STORE 0000"] < wanted and time.monotonic() < until and not self.faults:
            if self.server.poll() is not None:
                return
            time.sleep(0.005)
        time.sleep(self.draw.uniform(0.0, 0.2))

    def cut(self, disk: Disk, *, strict: bool, most: int = 100) -> None:
        """Load the archive, cut the power, serve what is left, and look."""
        self.end()
        self.env = disk.settle()
        try:
            with self.load(self.serve()):
                self._wait(self.draw.randrange(most // 4, most))
                self.kill()
        finally:
            self.env = {}
        disk.cut(self.draw, strict=strict)
        self.counts["power cuts"] += 1
        self.look()

    def serve(self) -> int:
        """Serve, or go on serving; gives the port."""
        if self._port is None:
            self.start()
            self._port = self._ready()
            assert self._port is not None, f"it does not start: {self.lead.log.read_text(errors='replace')[-3000:]}"
        return self._port

    def kill(self) -> None:
        """End the server's process alone, or all of its group."""
        server, self._port = self.server, None
        if server.poll() is None:
            if self.draw.random() < 0.5:
                os.kill(server.pid, signal.SIGKILL)
                self.counts["server alone"] += 1
            else:
                os.killpg(server.pid, signal.SIGKILL)
                self.counts["server with its workers"] += 1
        server.wait()
        self.counts["kills"] += 1
        if server.stdout is not None:
            server.stdout.close()
        wait_until(lambda: not _session(server.pid), "the workers of a killed server are gone")

    def end(self) -> None:
        """Stop the server as an operator does."""
        if self._port is not None:
            self._port = None
            self.server.terminate()
            assert self.server.wait(60) == 0
            if self.server.stdout is not None:
                self.server.stdout.close()

    def look(self, *, most: int | None = 3) -> None:
        """Serve again, undisturbed, and check everything; then delete some when there is much."""
        port = self.serve()
        size = check_folder(self.data, self.book)
        check_door(port, AE_TITLE, self.book, self.draw, most=most)
        if size > _LARGEST:
            self._thin_out(size)

    def _thin_out(self, size: int) -> None:
        """Delete studies until the archive is half of what it may be."""
        with App().open(self.data) as opened:
            while size > _LARGEST // 2 and (study_uid := self.book.take_study(self.draw)) is not None:
                size -= opened.archive.delete(opened.caller, study_uid).octets
                self.book.forget(study_uid)

    def close(self) -> None:
        """Leave no process behind, whatever happened."""
        if self._port is not None:
            self.kill()

    def said(self) -> str:
        """Say what was done so far."""
        there = f"{len(self.book.acknowledged):,} acknowledged and not deleted"
        return ", ".join([there, *(f"{number:,} {what}" for what, number in sorted(self.counts.items()))])

    def finish(self) -> None:
        """Look at everything once more, through every door, with the commands that an operator has."""
        self.look(most=None)
        self.lead.do("fsck")
        self.end()
        self.lead.do("audit", "verify")


def _until(process: "subprocess.Popen[bytes]", stop: Event) -> bytes | None:
    """Wait for a command, or kill it when the load ends; gives what it printed, None when it was killed."""
    while not stop.is_set():
        try:
            return process.communicate(timeout=0.05)[0]
        except subprocess.TimeoutExpired:
            continue
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    out = process.communicate()[0]
    return out if process.returncode >= 0 else None


def _session(leader: int) -> list[int]:
    """Give the processes that are left of a session."""
    left: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = stat.read_text().rpartition(")")
            if int(rest.split()[3]) == leader and rest.split()[0] != "Z":
                left.append(int(name.split()[0]))
    return left


def main() -> None:
    """Run the long version."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.torture", description="Kill an archive at work.")
    parser.add_argument("--kills", type=int, default=200, help="how many times")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of everything that is drawn")
    parser.add_argument("--most", type=int, default=100, help="acknowledgements before a kill")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="leadglass-torture-"))
    torture = Torture(folder, asked.seed, web=True)
    _say(f"seed {asked.seed}, {asked.kills} kills, in {folder}")
    began = time.monotonic()
    try:
        torture.begin()
        while torture.counts["kills"] < asked.kills:
            torture.round(most=asked.most)
            _say(f"{time.monotonic() - began:.0f} s: {torture.said()}")
        torture.finish()
    finally:
        torture.close()
    _say(f"clean after {time.monotonic() - began:.0f} s.")
    shutil.rmtree(folder)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
