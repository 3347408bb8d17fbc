"""Logs: what the server says of its work, as lines on stderr.

Rule: no patient data and no text of an exception, which may hold some: an error
is named by its kind.
"""

import json
import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest is what was said by ``extra``."""


def start(level: int = logging.INFO) -> None:
    """Send everything logged by this process to stderr: readable on a terminal, JSON elsewhere."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_for_people() if sys.stderr.isatty() else Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # asyncio reports every forgotten exception with its text and traceback; the wire reports its own.
    forgotten = logging.getLogger("asyncio")
    forgotten.setLevel(logging.ERROR)
    forgotten.filters[:] = [_say_what_only]


class Lines(logging.Formatter):
    """Each record as a JSON object on a line; written for every request, so it does no more than it has to."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        said = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        said["event"] = record.getMessage()
        said["level"] = record.levelname.lower()
        said["timestamp"] = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if record.exc_info is not None and record.exc_info[1] is not None:
            said["exception"] = _place(record.exc_info[1])
        return json.dumps(said, default=repr)


def _for_people() -> logging.Formatter:
    import structlog  # a third of a second that only who sits before it needs to spend

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_exception_texts,
    ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.dev.ConsoleRenderer()],
    )


def _say_what_only(record: logging.LogRecord) -> bool:
    """Leave out what asyncio says beyond what happened: exceptions and arguments as they print themselves."""
    record.msg, record.args = record.getMessage().partition("\n")[0].partition("(")[0], ()
    return True


def _without_exception_texts(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name an exception instead of printing it."""
    info = event.pop("exc_info", None)
    if isinstance(info, tuple):
        error = cast("tuple[object, ...]", info)[1]
        if isinstance(error, BaseException):
            event["exception"] = _place(error)
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        record.exc_info = None
        record.exc_text = None
    return event


def _place(error: BaseException) -> str:
    """Name an error and the line it came from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return f"{type(error).__name__} at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
