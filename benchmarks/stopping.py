"""How long a survey takes to stop: from the signal, or the file, to the last packet that it sends.

    python -m benchmarks.stopping                   twenty stops, half of them by each

Rule: at the stop it hangs everywhere it can hang at once: in a request for an association that is not answered, in a
release that is not, in two TLS handshakes, in a page that trickles, in a greeting, and in connections to addresses at
which nobody is. Needs root and iproute2: machines are network namespaces, and nothing else is contacted.
"""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from tests.survey.pits import interrupt, pits, stopped_in, touch

RESULTS: Final = Path(__file__).resolve().parent / "results"


def main() -> None:
    """Stop it again and again, and write how long that took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=10, help="stops by each way")
    times = parser.parse_args().times
    rows: list[str] = []
    with TemporaryDirectory() as name, pits(Path(name)) as held:
        for way, stop in (("SIGINT", interrupt), ("the file STOP", touch)):
            took: list[float] = []
            for number in range(times):
                folder = Path(name) / f"{way.replace(' ', '-')}-{number}"
                folder.mkdir()
                took.append(stopped_in(held, folder, stop).took)
            rows.append(f"| {way} | {times} | {median(took):.2f} s | {max(took):.2f} s |")
    text = "\n".join(
        [
            "# How long a survey takes to stop",
            "",
            f"`python -m benchmarks.stopping`, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors, load "
            f"{os.getloadavg()[0]:.1f}. From the stop to the last packet that the survey sends, read from captured "
            "packets; at most one second is promised. It hangs in six phases at once, and in connections to nobody.",
            "",
            "| stopped by | times | median | worst |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )
    (RESULTS / "stopping.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
