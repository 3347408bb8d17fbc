"""What was measured, as tables, and beside it what was asked for.

Rule: a claim is a ratio of two medians of the same run, so that a slow day slows
both. A claim whose parts were not measured is said to be open, never passed.
"""

import math
import statistics
from dataclasses import dataclass, field
from typing import Final

PLAIN: Final = "Leadglass, plaintext"
TLS: Final = "Leadglass, mutual TLS"
ORTHANC: Final = "Orthanc (Debian)"
DISK: Final = "the disk itself"
PATTERN: Final = "the disk: object, folder and log synced"
SINK: Final = "our wire, keeping nothing"
KEEPER: Final = "our wire, only digesting and syncing"
IMPORT: Final = "leadglass import"
UPLOAD: Final = "Orthanc, HTTP upload, one connection"


@dataclass(slots=True)
class Measurement:
    """Seconds of each repetition of one task against one peer; or why there are none."""

    task: str
    peer: str
    count: int
    octets: int
    seconds: list[float] = field(default_factory=list[float])
    missing: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) if self.seconds else math.nan


@dataclass(frozen=True, slots=True)
class Claim:
    """A ratio that is asked for.

    Parameters
    ----------
    says : str
        The claim in words.
    task : str
        The task whose medians are compared.
    slow, fast : str
        The peers: the ratio is the median of ``slow`` divided by that of ``fast``.
    least, most : float
        Bounds of the ratio.
    """

    says: str
    task: str
    slow: str
    fast: str
    least: float = 0.0
    most: float = math.inf


CLAIMS: Final = (
    Claim("C-STORE, one association, 12 kB: at least 15 x Orthanc", "C-STORE 12 kB", ORTHANC, PLAIN, 15.0),
    Claim("C-STORE, one association, 526 kB: at least 6 x Orthanc", "C-STORE 526 kB", ORTHANC, PLAIN, 6.0),
    Claim("C-STORE, four associations, 12 kB: at least 3 x Orthanc", "C-STORE x 4 12 kB", ORTHANC, PLAIN, 3.0),
    Claim("C-STORE, four associations, 526 kB: at least 3 x Orthanc", "C-STORE x 4 526 kB", ORTHANC, PLAIN, 3.0),
    Claim("C-STORE, four associations, 526 kB: at least 0.5 x the disk", "C-STORE x 4 526 kB", PATTERN, PLAIN, 0.5),
    Claim("The same beside a disk that only syncs the objects", "C-STORE x 4 526 kB", DISK, PLAIN, 0.5),
    Claim("The same beside our wire that keeps nothing", "C-STORE x 4 526 kB", SINK, PLAIN, 0.5),
    Claim("The same beside our wire that only digests and syncs", "C-STORE x 4 526 kB", KEEPER, PLAIN, 0.5),
    Claim("C-GET, 526 kB: at least 8 x Orthanc", "C-GET 526 kB", ORTHANC, PLAIN, 8.0),
    Claim("C-MOVE, 526 kB: at least 8 x Orthanc", "C-MOVE 526 kB", ORTHANC, PLAIN, 8.0),
    Claim("Mutual TLS, C-STORE 12 kB: at most 1.3 x plaintext", "C-STORE 12 kB", TLS, PLAIN, most=1.3),
    Claim("Mutual TLS, C-STORE 526 kB: at most 1.3 x plaintext", "C-STORE 526 kB", TLS, PLAIN, most=1.3),
    Claim("Mutual TLS, C-STORE x 4 526 kB: at most 1.3 x plaintext", "C-STORE x 4 526 kB", TLS, PLAIN, most=1.3),
    Claim("Import, 12 kB: at least 2 x Orthanc's upload", "import 12 kB", UPLOAD, IMPORT, 2.0),
    Claim("Import, 4 to 600 kB: at least 2 x Orthanc's upload", "import 4-600 kB", UPLOAD, IMPORT, 2.0),
)


def verdicts(results: list[Measurement]) -> str:
    """Give the table of what was asked for and what came of it."""
    medians = {(row.task, row.peer): row.median for row in results}
    lines = ["### What was asked for", "", "| claim | ratio | |", "|---|--:|---|"]
    for claim in CLAIMS:
        slow, fast = medians.get((claim.task, claim.slow), math.nan), medians.get((claim.task, claim.fast), math.nan)
        ratio = slow / fast
        if math.isnan(ratio):
            lines.append(f"| {claim.says} | - | not measured |")
            continue
        verdict = "pass" if claim.least <= ratio <= claim.most else "**miss**"
        lines.append(f"| {claim.says} | {ratio:.2f} | {verdict} |")
    return "\n".join([*lines, ""])


def tables(results: list[Measurement]) -> str:
    """Give a table a task: seconds, rate, and how many times the time of our own."""
    lines: list[str] = []
    for task in dict.fromkeys(row.task for row in results):
        rows = [row for row in results if row.task == task]
        own = IMPORT if task.startswith("import") else PLAIN
        ours = next((row.median for row in rows if row.peer == own), math.nan)
        what = "queries" if task.startswith("C-FIND") else "instances"
        lines += [
            f"### {task} ({rows[-1].count:,} {what})",
            "",
            f"| peer | seconds (median) | {what} per s | MB/s | time ÷ {own} |",
            "|---|--:|--:|--:|--:|",
        ]
        for row in rows:
            if not row.seconds:
                lines.append(f"| {row.peer} | - | - | - | {row.missing.splitlines()[0] if row.missing else '-'} |")
                continue
            rate = f"{row.octets / row.median / 1e6:.1f}" if row.octets else "-"
            ratio = "-" if math.isnan(ours) else f"{row.median / ours:.2f}"
            lines.append(f"| {row.peer} | {row.median:.2f} | {row.count / row.median:,.0f} | {rate} | {ratio} |")
        lines.append("")
    return "\n".join(lines)
