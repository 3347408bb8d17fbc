"""What a legitimate client feels while the archive is attacked: C-ECHO on an open association, and dialling anew.

Rule: the archive, the attacker and the client are three processes or more; the figure that counts is the 95th
percentile of a C-ECHO, in milliseconds, over both lanes, with nothing else running on the machine.

    python -m benchmarks.attack                     every attack, 10 s each
    python -m benchmarks.attack --seconds 5 NAME…   some of them
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.hostile.attacks import ATTACKS
from tests.hostile.stage import Stage, staged

RESULTS: Final = Path(__file__).resolve().parent / "results"
PEACE: Final = "nobody"


def main() -> None:
    """Measure and write ``results/attack.md`` and ``results/attack.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    rows: list[dict[str, float | str]] = []
    with tempfile.TemporaryDirectory() as folder, staged(Path(folder)) as stage:
        for name in [PEACE, *(chosen.names or ATTACKS)]:
            rows.append(_measure(stage, name, chosen.seconds))
            print(" | ".join(f"{value:.1f}" if isinstance(value, float) else str(value) for value in rows[-1].values()))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "attack.json").write_text(json.dumps(rows, indent=1) + "\n")
    head = list(rows[0])
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        cells = (f"{value:.1f}" if isinstance(value, float) else str(value) for value in row.values())
        lines.append(f"| {' | '.join(cells)} |")
    (RESULTS / "attack.md").write_text("\n".join(lines) + "\n")


def _measure(stage: Stage, name: str, seconds: float) -> dict[str, float | str]:
    process = stage.process
    process.forget_peak()
    attacker: subprocess.Popen[bytes] | None = None
    if name != PEACE:
        target = stage.target
        told = {
            "tls": target.tls, "plain": target.plain, "credentials": str(target.credentials), "study": target.study,
        }  # fmt: skip
        attacker = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.attacks", name, json.dumps(told)], stdin=subprocess.PIPE
        )
        time.sleep(1.5)
    try:
        with stage.legitimate() as (tls, plain):
            time.sleep(seconds)
    finally:
        if attacker is not None:
            attacker.communicate(timeout=60)
    return {
        "attack": name,
        "echo p50 ms": _percentile([*tls.echoes, *plain.echoes], 0.50),
        "echo p95 ms": _percentile([*tls.echoes, *plain.echoes], 0.95),
        "dial TLS p95 ms": _percentile(tls.rounds, 0.95),
        "dial plain p95 ms": _percentile(plain.rounds, 0.95),
        "failed": float(len(tls.failures) + len(plain.failures)),
        "peak MiB": process.peak / (1 << 20),
        "descriptors": float(process.descriptors),
    }


def _percentile(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else float("nan")


if __name__ == "__main__":
    main()
