"""Run ``leadglass`` as it is, and stay when it has ended: so that a test can look into the memory it leaves.

Commands that are parted by ``--then`` are run one after the other in this one process.

``LINGER`` names a file that is made when it has ended; it stays until its standard input is closed. The text of
``PLANTED``, read backwards, stands in its memory: who looks and does not find it does not look well. Where ``HELD``
names texts, backwards and parted by commas, the file says what still refers to one of them.
"""

import atexit
import gc
import os
import runpy
import sys
from pathlib import Path


def _held(texts: list[str]) -> list[str]:
    """Give what holds texts, by the text's place in the list: every object that refers to a string with one in it."""
    if not texts:
        return []
    gc.collect()
    found: list[str] = []
    wanted = [(place, text, text.encode()) for place, text in enumerate(texts)]
    ours = {id(texts), *map(id, wanted)}
    for holder in gc.get_objects():
        if id(holder) in ours:
            continue
        for each in gc.get_referents(holder):
            for place, text, raw in wanted:
                if (isinstance(each, str) and text in each) or (isinstance(each, bytes | bytearray) and raw in each):
                    found.append(f"{place} {type(holder).__name__}")
    return found


def _stay() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    held = [text for text in os.environ.get("HELD", "")[::-1].split(",") if text]
    Path(os.environ["LINGER"]).write_text("\n".join(_held(held)))
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
