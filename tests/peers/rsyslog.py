"""rsyslog as a collector: a stranger's reading of RFC 5424 and RFC 5425."""

import json
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.collector import eventually
from tests.peers.running import free_port

_SETTINGS = """
global(
  workDirectory="{folder}"
  defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="{authority}"
  defaultNetstreamDriverCertFile="{certificate}"
  defaultNetstreamDriverKeyFile="{key}"
  maxMessageSize="256k"
)
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid"
       maxFrameSize="200000")
template(name="whole" type="list") {{
  constant(value="{{")
  property(outname="kind" name="msgid" format="jsonf") constant(value=",")
  property(outname="program" name="app-name" format="jsonf") constant(value=",")
  property(outname="data" name="structured-data" format="jsonf") constant(value=",")
  property(outname="content" name="msg" format="jsonf")
  constant(value="}}\\n")
}}
ruleset(name="kept") {{ action(type="omfile" file="{messages}" template="whole") }}
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="kept")
"""


@dataclass(frozen=True, slots=True)
class Rsyslog:
    """A running rsyslogd and what it has kept."""

    port: int
    messages: Path

    def kept(self) -> list[dict[str, str]]:
        """Give the messages as it understood them."""
        if not self.messages.exists():
            return []
        return [json.loads(line) for line in self.messages.read_text("utf-8").splitlines()]


@contextmanager
def rsyslog(folder: Path, certificate: Path, authority: Path) -> Generator[Rsyslog]:
    """Run rsyslogd on loopback until the block ends, or skip where it is not installed.

    Parameters
    ----------
    folder : Path
        Where it keeps its files.
    certificate : Path
        What it shows: certificate and key in one PEM file.
    authority : Path
        Whose certificates it accepts.
    """
    program = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
    if program is None or not list(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so")):
        pytest.skip("rsyslogd with GnuTLS is not installed (Debian: rsyslog, rsyslog-gnutls)")
    folder.mkdir()
    port, messages, settings = free_port(), folder / "messages", folder / "rsyslog.conf"
    settings.write_text(
        _SETTINGS.format(
            folder=folder,
            authority=authority,
            certificate=certificate,
            key=certificate,
            messages=messages,
            port=port,
        )
    )
    log = folder / "said"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [program, "-n", "-f", settings, "-i", folder / "pid"], stdout=said, stderr=subprocess.STDOUT
        )
    try:
        eventually(lambda: process.poll() is not None or _listens(port), "rsyslogd")
        assert process.poll() is None, log.read_text()
        yield Rsyslog(port, messages)
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    return f":{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()
