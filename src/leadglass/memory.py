"""Memory of a process that stores images: kept for the next one, and not searched for garbage in vain.

Rule: what is set here costs or saves time and changes nothing else. It holds for
the process, so the command that owns the process calls it, and nobody else.
"""

import ctypes
import gc
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_KEPT: Final = 16 << 20
"""Bytes of freed memory that an arena of the C library keeps. By default it
hands back a quarter of a MiB at once, and each instance pays for it anew: a page
fault for each 4 KiB, some hundred for a CT slice."""

_MAPPED: Final = 4 << 20
"""Bytes from which on memory is mapped and handed back by itself: no buffer of
the way in or out is that large."""

_YOUNG: Final = 20_000
"""Objects between two looks for garbage. The header of one instance has some
hundred, none of them in a cycle; with the default of 700 a tenth of the time of
storing went into looking."""


def settle() -> None:
    """Arrange memory for many instances to come; call once, when the process has what it starts with."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 50)
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's; other C libraries do without
        if mallopt is not None:
            mallopt(_M_TRIM_THRESHOLD, _KEPT)
            mallopt(_M_MMAP_THRESHOLD, _MAPPED)
