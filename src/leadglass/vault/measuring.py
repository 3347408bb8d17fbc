"""Measuring: how much there is, for those who look after the archive; counts, never of a patient.

Rule: it is asked now and then, so it reads what indexes hold and no instance's row
where there are many.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from leadglass.vault.index.sql import ask
from leadglass.vault.reading import Reading
from leadglass.vault.records import Caps

_EXACT: Final = 100_000
"""Instances up to which their sizes are added up; of more, some of them tell the mean."""

_SAMPLE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Measures:
    """How much there is.

    Parameters
    ----------
    studies, instances : int
        What is stored.
    octets : int
        Bytes of it; of very many instances about so.
    quarantined, quarantined_octets : int
        What is kept aside for what is wrong with it; what came by links has a measure of its own.
    quarantine_room, quarantine_octets : int
        How much that may be.
    oldest_quarantined : datetime, optional
        Since when the oldest of it waits.
    """

    studies: int
    instances: int
    octets: int
    quarantined: int
    quarantined_octets: int
    quarantine_room: int
    quarantine_octets: int
    oldest_quarantined: datetime | None


def measure(reading: Reading, caps: Caps) -> Measures:
    """Count what is stored and what is kept aside."""
    with reading.connected() as connection:
        studies = ask(connection, "SELECT count(*) FROM study").fetchone()[0]
        instances = ask(connection, "SELECT coalesce(sum(instances), 0) FROM series").fetchone()[0]
        if instances <= _EXACT:
            octets = ask(connection, "SELECT coalesce(sum(size), 0) FROM instance").fetchone()[0]
        else:
            mean = ask(
                connection,
                "SELECT avg(size) FROM instance WHERE id IN (SELECT id FROM instance WHERE id % ? = 0 LIMIT ?)",
                (max(1, instances // _SAMPLE), _SAMPLE),
            ).fetchone()[0]
            octets = int((mean or 0) * instances)
        count, kept, oldest = ask(
            connection,
            "SELECT count(*) FILTER (WHERE submitted = 0), coalesce(sum(size) FILTER (WHERE submitted = 0), 0),"
            " min(received) FROM quarantine",
        ).fetchone()
    return Measures(studies, instances, octets, count, kept, caps.instances, caps.octets, _moment(oldest))


def _moment(text: str | None) -> datetime | None:
    """Read a time as the index writes it; None when it is none."""
    try:
        read = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
