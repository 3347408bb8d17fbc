"""What the server says of its work."""

import json
import logging

import pytest

from leadglass import logs
from leadglass.logs import Lines

SECRET = "Doe^Jane"


def line(record: logging.LogRecord) -> dict[str, object]:
    said = Lines().format(record)
    assert "\n" not in said
    return json.loads(said)


def test_a_line_holds_what_was_said_and_when_and_nothing_else() -> None:
    record = logging.makeLogRecord(
        {"msg": "stored %s", "args": ("one",), "levelname": "INFO", "created": 1_767_225_600.25, "octets": 12}
    )
    assert line(record) == {
        "octets": 12,
        "event": "stored one",
        "level": "info",
        "timestamp": "2026-01-01T00:00:00.250000Z",
    }


def test_a_line_names_an_exception_and_does_not_repeat_its_text() -> None:
    with pytest.raises(ValueError, match=SECRET.replace("^", r"\^")) as raised:
        int(SECRET)
    info = (raised.type, raised.value, raised.tb)
    record = logging.makeLogRecord({"msg": "failed", "levelname": "ERROR", "exc_info": info})
    said = line(record)
    assert str(said["exception"]).startswith("ValueError at test_logs.py:")
    assert SECRET not in json.dumps(said)


def test_what_json_does_not_have_is_written_all_the_same() -> None:
    record = logging.makeLogRecord({"msg": "line\nbreak", "levelname": "WARNING", "where": frozenset({1})})
    assert line(record)["where"] == "frozenset({1})"


def test_a_process_without_a_terminal_says_lines(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        logs.start()
        logging.getLogger("leadglass.test").info("hello", extra={"caller": "device:CT1"})
        assert json.loads(capsys.readouterr().err)["caller"] == "device:CT1"
    finally:
        root.handlers[:] = before
        root.setLevel(level)
