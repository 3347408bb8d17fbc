"""Syslog messages (RFC 5424) and their frames on a stream (RFC 5425 4.3); pure.

Rule 1. A frame says its length in octets first: no content can end it early or
begin another. Rule 2. The number of the record is in the structured data, so that
whoever receives a record twice can drop one, and sees what is missing.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from leadglass.audit.dicom_xml import to_xml
from leadglass.audit.event import Outcome
from leadglass.audit.meaning import Severity, meaning_of
from leadglass.audit.record import Record, decode, to_text
from leadglass.errors import Corrupt

SECURITY: Final = 10
"""Facility "security/authorization messages" (RFC 5424 6.2.1), as PS3.15 A.6 asks for."""

STRUCTURED_ID: Final = "leadglass@32473"
"""SD-ID of our parameters. 32473 is the enterprise number for examples (RFC 5612): the project has none of its own."""

XML: Final = "DICOM+RFC3881"
"""MSGID of messages with PS3.15 A.5 XML (PS3.15 A.6)."""
JSON: Final = "LEADGLASS+JSON"
"""MSGID of messages with the record's own bytes."""
CHECKPOINT: Final = "LEADGLASS+CHECKPOINT"
"""MSGID of messages with a signed head."""

_BOM: Final = b"\xef\xbb\xbf"
_NOT_PRINTABLE: Final = re.compile(r"[^\x21-\x7e]")
_ALERT, _CRITICAL, _ERROR, _WARNING, _NOTICE = 1, 2, 3, 4, 5


class Format(Enum):
    """In what words records go to a collector."""

    DICOM_XML = "dicom-xml"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Sender:
    """What is the same in all messages of one archive.

    Parameters
    ----------
    host : str
        HOSTNAME.
    source : str
        Names the archive in the messages of PS3.15.
    origin : str
        The log's name.
    process : int
        PROCID.
    facility : int
        Facility, 0 to 23.
    form : Format
        In what words records go.
    """

    host: str
    source: str
    origin: str
    process: int
    facility: int = SECURITY
    form: Format = Format.DICOM_XML

    def of_record(self, body: str) -> bytes:
        """Give the frame of one record, from its bytes in the log."""
        try:
            record = decode(body)
        except Corrupt:
            # It must not stop all that follow: it goes as it lies there, and `audit verify` names it.
            return self._frame(_ALERT, "-", JSON, "", body.encode("utf-8", "backslashreplace"))
        known = f'sequence="{record.sequence}"'
        severity, time = _severity(record), to_text(record.time)
        match self.form:
            case Format.JSON:
                return self._frame(severity, time, JSON, known, body.encode("utf-8", "backslashreplace"))
            case Format.DICOM_XML:
                text = to_xml(record, self.source).encode("utf-8", "backslashreplace")
                return self._frame(severity, time, XML, known, _BOM + text)

    def of_note(self, note: str, size: int, now: datetime) -> bytes:
        """Give the frame of a signed head over ``size`` records."""
        return self._frame(_NOTICE, to_text(now), CHECKPOINT, f'size="{size}"', _BOM + note.encode())

    def _frame(self, severity: int, time: str, kind: str, known: str, content: bytes) -> bytes:
        host = _NOT_PRINTABLE.sub("-", self.host)[:255] or "-"
        data = f'[{STRUCTURED_ID} origin="{_parameter(self.origin)}"{" " if known else ""}{known}]'
        header = f"<{self.facility * 8 + severity}>1 {time} {host} leadglass {self.process} {kind} {data} "
        message = header.encode("ascii") + content
        return f"{len(message)} ".encode() + message


def _parameter(text: str) -> str:
    """Escape a parameter's value (RFC 5424 6.3.3)."""
    return re.sub(r'(["\\\]])', r"\\\1", text)


def _severity(record: Record) -> int:
    if record.event.outcome is Outcome.ALERT:
        return _ALERT
    match meaning_of(record.event).severity:
        case Severity.SUCCESS:
            return _NOTICE
        case Severity.MINOR:
            return _WARNING
        case Severity.SERIOUS:
            return _ERROR
        case Severity.MAJOR:
            return _CRITICAL
