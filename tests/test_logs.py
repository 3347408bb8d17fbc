"""What the server says of its work."""

import asyncio
import gc
import json
import logging
from collections.abc import Generator
from contextlib import contextmanager

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


@contextmanager
def started() -> Generator[None]:
    """Log as the server does."""
    root, forgotten = logging.getLogger(), logging.getLogger("asyncio")
    before = root.handlers[:], root.level, forgotten.filters[:], forgotten.level
    try:
        logs.start()
        yield
    finally:
        root.handlers[:], forgotten.filters[:] = before[0], before[2]
        root.setLevel(before[1])
        forgotten.setLevel(before[3])


def test_a_process_without_a_terminal_says_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with started():
        logging.getLogger("leadglass.test").info("hello", extra={"caller": "device:CT1"})
    assert json.loads(capsys.readouterr().err)["caller"] == "device:CT1"


def test_what_asyncio_says_of_a_forgotten_exception_repeats_neither_its_text_nor_arguments(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def fail() -> None:
        raise ValueError(SECRET)

    async def forget() -> None:
        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        del task
        gc.collect()
        asyncio.get_running_loop().call_soon(int, SECRET)
        await asyncio.sleep(0)

    with started():
        asyncio.run(forget())
    said = capsys.readouterr().err
    first, second = [json.loads(each) for each in said.splitlines()]
    assert first["event"] == "Task exception was never retrieved"
    assert first["exception"].startswith("ValueError at test_logs.py:")
    assert second["event"].startswith("Exception in callback int")
    assert SECRET not in said
