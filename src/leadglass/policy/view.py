"""View: what may leave the archive of an object that a permit covers."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class View:
    """Full, or with chosen attributes masked.

    Parameters
    ----------
    masked : frozenset of int
        Tags that leave empty wherever they stand, in sequences too.
        Empty: everything leaves as stored.
    """

    masked: frozenset[int] = frozenset()

    @classmethod
    def full(cls) -> Self:
        """Give the view that changes nothing."""
        return cls()

    @property
    def is_full(self) -> bool:
        """Whether objects leave bit-exact."""
        return not self.masked

    def __and__(self, other: "View") -> "View":
        """Mask what either masks."""
        return View(self.masked | other.masked)
