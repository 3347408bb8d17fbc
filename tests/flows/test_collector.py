"""The whole server and a collector: settings, certificates, kill -9, and the command that says how far it is."""

import json
import re
import signal
from pathlib import Path
from xml.etree import ElementTree as ET

from leadglass.crypto.ca import Authority
from tests.peers.collector import Collector, eventually
from tests.peers.leadglass import Leadglass
from tests.peers.rsyslog import rsyslog


def test_a_server_that_is_killed_leaves_no_gap_at_its_collector(tmp_path: Path) -> None:
    archive = Leadglass(tmp_path)
    archive.do("init")
    authority = Authority.create(tmp_path / "site-ca.pem", tmp_path / "site-ca.key")
    theirs = authority.ensure_server_certificate(tmp_path / "collector.pem", ["127.0.0.1"])
    kept = tmp_path / "kept"
    kept.mkdir()
    with Collector(theirs, archive.data / "ca.pem") as collector:
        (archive.data / "leadglass.toml").write_text(
            f"[audit]\ncheckpoint_folder = {json.dumps(str(kept))}\n"
            f'[audit.collector]\nhost = "127.0.0.1"\nport = {collector.port}\n'
            f"authority = {json.dumps(str(tmp_path / 'site-ca.pem'))}\n"
        )
        with archive.serve() as doors:
            eventually(lambda: 1 in collector.sequences(), "the first records")
            archive.do("audit", "show")  # another process writes too
            doors.process.send_signal(signal.SIGKILL)
            doors.process.wait()
        with archive.serve():
            eventually(lambda: bool(list(kept.iterdir())), "a head in the folder")
        # It ended in order, so it handed over what there was, its own end included.
        size = int(str(archive.audit()[-1]["sequence"])) - 1
        assert sorted(set(collector.sequences())) == list(range(1, size + 1))
        state = json.loads(archive.do("audit", "collector", "--json"))
        assert (state["confirmed"], state["failing_since"]) == (size, None)
        assert state["behind"] == state["records"] - size
        archive.do("audit", "verify", "--checkpoint", kept)
        assert collector.faults == []


def test_rsyslog_reads_every_record_and_confirms_it(tmp_path: Path) -> None:
    archive = Leadglass(tmp_path)
    archive.do("init")
    authority = Authority.create(tmp_path / "site-ca.pem", tmp_path / "site-ca.key")
    theirs = authority.ensure_server_certificate(tmp_path / "collector.pem", ["127.0.0.1"])
    with rsyslog(tmp_path / "rsyslog", theirs, archive.data / "ca.pem") as collector:
        (archive.data / "leadglass.toml").write_text(
            f'[audit.collector]\nhost = "127.0.0.1"\nport = {collector.port}\n'
            f"authority = {json.dumps(str(tmp_path / 'site-ca.pem'))}\n"
        )
        with archive.serve():
            archive.do("audit", "show")
            eventually(lambda: len(collector.kept()) > 3, "records at rsyslog")
        size = int(str(archive.audit()[-1]["sequence"])) - 1
        kept = collector.kept()
    state = json.loads(archive.do("audit", "collector", "--json"))
    assert (state["confirmed"], state["failing_since"]) == (size, None)
    records = [message for message in kept if 'sequence="' in message["data"]]
    numbers = {int(number) for message in records for number in re.findall(r'sequence="(\d+)"', message["data"])}
    assert numbers == set(range(1, size + 1))
    for message in records:
        assert message["program"] == "leadglass"
        ET.fromstring(message["content"].lstrip("\ufeff"))  # noqa: S314 - what we wrote ourselves


def test_settings_that_cannot_work_are_refused_at_start(tmp_path: Path) -> None:
    archive = Leadglass(tmp_path)
    archive.do("init")
    settings = archive.data / "leadglass.toml"
    for text, said in (
        ('[audit.collector]\nhost = "127.0.0.1"\n', "authority"),
        ('[audit.collector]\nhost = "127.0.0.1"\nauthority = "/nowhere.pem"\n', "nowhere.pem"),
        ('[audit.collector]\nhost = "127.0.0.1"\nauthority = "/x.pem"\nformat = "plain"\n', "dicom-xml or json"),
        ('[audit]\ncheckpoint_folder = "/nowhere"\n', "/nowhere is not a folder"),
    ):
        settings.write_text(text)
        ended = archive.cli("serve", "--dicom-tls", "127.0.0.1:0")
        assert ended.code == 1
        assert said in ended.said
