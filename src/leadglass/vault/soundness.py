"""Soundness: whether a stored object can still be opened, asked before a good copy of it is let go.

Rule: all of it is read. Success is answered for what is there and opens to its
last byte, and for nothing less; only a sender that repeats itself pays for it.
"""

from collections.abc import Callable
from typing import Final

from leadglass.crypto.sealed import SealedReader
from leadglass.errors import Corrupt
from leadglass.vault.objects import Objects, Place

IsSound = Callable[[Place, bytes, int], bool]
"""Given an object's place, key and size in bytes."""


_STEP: Final = 1 << 20
"""Bytes read at a time."""


def is_sound(objects: Objects, place: Place, key: bytes, size: int) -> bool:
    """Say whether an object has its size and every chunk of it authenticates.

    Raises
    ------
    Busy
        When the system has no room to open it: then nobody knows.
    """
    try:
        with SealedReader(objects.open(place), key, place.name) as reader:
            if reader.size != size:
                return False
            for offset in range(0, size, _STEP):
                reader.read_at(offset, _STEP)
            return True
    except Corrupt:
        return False
