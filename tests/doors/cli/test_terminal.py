"""The terminal's tables: nothing that is compared or copied is broken."""

import io
import re

import pytest

from leadglass.doors.cli.terminal import Terminal, cell, table

UID = "1.2.826.0.1.3680043.8.498.12345678901234567890123456789012345678"
NETWORK = "2001:db8:1234:5678:9abc:def0:1234:5678/128"
TIME = "2026-11-22 08:30:00"
WHY = "the same SOP Instance UID with other content, which differs in PixelData"


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def _shown(columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    screen = _Screen()
    made = table("no", "time", "from", "why", "SOP Instance UID", right=("no",), fold=("why",))
    made.add_row("1", TIME, cell(NETWORK), cell(WHY), cell(UID))
    made.add_row("2", TIME, cell(f"10.1.2.3/32\n{NETWORK}"), cell(""), cell(UID))
    Terminal(screen, io.StringIO()).show(made)
    return re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())


@pytest.mark.parametrize("columns", [20, 80, 120, 160, 300])
def test_addresses_uids_and_times_are_never_broken(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _shown(columns, monkeypatch)
    assert shown.count(UID) == 2
    assert shown.count(NETWORK) == 2
    assert shown.count(TIME) == 2


def test_a_table_that_fits_is_a_table_and_folds_free_text(monkeypatch: pytest.MonkeyPatch) -> None:
    heading, *_ = _shown(170, monkeypatch).splitlines()
    assert heading.split() == ["no", "time", "from", "why", "SOP", "Instance", "UID"]
    assert max(map(len, _shown(170, monkeypatch).splitlines())) <= 170
    assert "SOP Instance UID  " + UID in _shown(80, monkeypatch)


def test_free_text_goes_below_its_row_when_there_is_no_room_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line.rstrip() for line in _shown(154, monkeypatch).splitlines()]
    assert lines[0].split() == ["no", "time", "from", "SOP", "Instance", "UID"]
    assert f"    {WHY}" in lines
