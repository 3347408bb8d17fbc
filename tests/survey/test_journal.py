"""The journal: what was sent to whom, on disk before it happens."""

import json
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from leadglass.errors import Misconfigured
from leadglass.survey.journal import Journal

THERE = ip_address("192.0.2.7")


def test_an_act_is_on_disk_when_write_returns_and_says_no_payload(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, "run", lambda: datetime(2026, 11, 22, 12, tzinfo=UTC)) as journal:
        journal.write("A-ASSOCIATE-RQ", "dicom-answers", THERE, 104, 203)
        (line,) = path.read_text().splitlines()
    assert json.loads(line) == {
        "time": "2026-11-22T12:00:00.000+00:00",
        "run": "run",
        "act": "A-ASSOCIATE-RQ",
        "check": "dicom-answers",
        "to": "192.0.2.7",
        "port": 104,
        "octets": 203,
    }


def test_it_is_its_owners_alone_and_only_grows(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for run in ("one", "two"):
        with Journal(path, run) as journal:
            journal.write("connect", "a", THERE, 104)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [json.loads(line)["run"] for line in path.read_text().splitlines()] == ["one", "two"]


def test_without_a_journal_nothing_is_sent(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be written"):
        Journal(tmp_path / "no such folder" / "journal.jsonl", "run")
