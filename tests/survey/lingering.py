"""Run ``leadglass`` as it is, and stay when it has ended: so that a test can look into the memory it leaves.

Commands that are parted by ``--then`` are run one after the other in this one process.
``LINGER`` names a file that is made when it has ended; it stays until its standard input is closed. The text of
``PLANTED``, read backwards, stands in its memory: who looks and does not find it does not look well.
"""

import atexit
import os
import runpy
import sys
from pathlib import Path


def _stay() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    Path(os.environ["LINGER"]).write_bytes(b"")
    sys.stdin.read()


def _run(arguments: list[str]) -> None:
    sys.argv = ["leadglass", *arguments]
    try:
        runpy.run_module("leadglass", run_name="__main__")
    except SystemExit as ended:
        if ended.code not in {None, 0}:
            sys.exit(ended.code)


if __name__ == "__main__":
    planted = os.environ["PLANTED"][::-1]
    atexit.register(_stay)
    left = sys.argv[1:]
    while "--then" in left:
        place = left.index("--then")
        _run(left[:place])
        left = left[place + 1 :]
    _run(left)
