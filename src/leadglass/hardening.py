"""What a process that holds keys does to keep its memory to itself.

Rule: what cannot be done here is no reason to stop; it is one layer of several.
"""

import ctypes
import resource
from contextlib import suppress
from typing import Final

_PR_SET_DUMPABLE: Final = 4
"""prctl(2)."""


def keep_memory_private() -> bool:
    """Leave no core file, and let no other process of this user look into this one; says whether that is so."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, AttributeError):
        return ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
    return False
