"""The Merkle tree hash of RFC 6962 (and RFC 9162), with its two proofs; pure.

Rule 1. A leaf and a node never hash alike: one prefix byte each (RFC 6962 2.1).
Rule 2. The tree grows at its right edge only; what is needed to grow it is the
``Frontier``, the roots of its complete subtrees, at most one for each bit of
the size. Rule 3. A verifier believes nothing of a proof but what it recomputes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

HASH_LENGTH: Final = 32
"""Bytes of SHA-256."""

EMPTY_ROOT: Final = sha256(b"").digest()
"""Root of the tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """Hash one leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into one."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: enough to append to it and to know its root.

    Parameters
    ----------
    size : int
        Number of leaves.
    peaks : tuple of bytes
        Roots of the complete subtrees from left to right, largest first: one
        for each bit that is set in ``size``.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count() or any(len(p) != HASH_LENGTH for p in self.peaks):
            raise ValueError("The peaks of a Merkle frontier do not fit its size.")

    def append(self, leaf: bytes) -> "Frontier":
        """Give the frontier with one more leaf, given as its hash."""
        peaks = list(self.peaks)
        size = self.size
        while size & 1:
            leaf = node_hash(peaks.pop(), leaf)
            size >>= 1
        peaks.append(leaf)
        return Frontier(self.size + 1, tuple(peaks))

    def absorb(self, height: int, root: bytes) -> "Frontier":
        """Give the frontier with a complete subtree of ``2 ** height`` leaves more, given by its root.

        Raises
        ------
        ValueError
            When such a subtree does not begin where this frontier ends.
        """
        if self.size % (1 << height):
            raise ValueError("The subtree does not begin where the tree ends.")
        peaks = list(self.peaks)
        size = self.size >> height
        while size & 1:
            root = node_hash(peaks.pop(), root)
            size >>= 1
        peaks.append(root)
        return Frontier(self.size + (1 << height), tuple(peaks))

    def root(self) -> bytes:
        """Give the tree hash."""
        if not self.peaks:
            return EMPTY_ROOT
        *lefts, root = self.peaks
        for left in reversed(lefts):
            root = node_hash(left, root)
        return root

    def to_bytes(self) -> bytes:
        """Give the peaks, one after the other."""
        return b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Self:
        """Read back what ``to_bytes`` gave; raises ValueError when it does not fit the size."""
        if len(data) % HASH_LENGTH:
            raise ValueError("The peaks of a Merkle frontier do not fit its size.")
        return cls(size, tuple(data[i : i + HASH_LENGTH] for i in range(0, len(data), HASH_LENGTH)))


def heights_of(start: int, end: int) -> Iterator[int]:
    """Give the heights of the fewest complete subtrees that hold the leaves from ``start`` to before ``end``."""
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        yield height
        start += 1 << height


class Run:
    """Leaves that follow each other anywhere in a tree, hashed into the subtrees of ``heights_of``.

    Parameters
    ----------
    start : int
        How many leaves are before the first one.
    """

    __slots__ = ("_peaks", "size", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.size = start
        self._peaks: list[tuple[int, bytes]] = []

    def append(self, leaf: bytes) -> None:
        """Take one more leaf, given as its hash."""
        height = 0
        while self._peaks and self._peaks[-1][0] == height and not (self.size - (1 << height)) >> height & 1:
            leaf = node_hash(self._peaks.pop()[1], leaf)
            self.size -= 1 << height
            height += 1
        self._peaks.append((height, leaf))
        self.size += 1 << height

    def hashes(self) -> list[bytes]:
        """Give the roots of the subtrees, from left to right."""
        return [root for _, root in self._peaks]


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Give the tree hash over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf)
    return frontier.root()


def _split(size: int) -> int:
    """Give the largest power of two below ``size`` (``size`` at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Prove that leaf ``index`` (from 0) is in the tree over ``leaves`` (hashes): RFC 6962 2.1.1.

    Raises
    ------
    ValueError
        When there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise ValueError("There is no such leaf.")
    path: list[bytes] = []
    start, end = 0, len(leaves)
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(root_of(leaves[middle:end]))
            end = middle
        else:
            path.append(root_of(leaves[start:middle]))
            start = middle
    return tuple(reversed(path))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Check an inclusion proof (RFC 9162 2.1.3.2).

    Parameters
    ----------
    leaf : bytes
        Hash of the leaf.
    index, size : int
        Its place from 0, and the number of leaves under ``root``.
    """
    if not 0 <= index < size:
        return False
    place, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            computed = node_hash(sibling, computed)
            while place and not place & 1:
                place >>= 1
                last >>= 1
        else:
            computed = node_hash(computed, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and computed == root


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """Prove that the tree over the first ``old_size`` leaves is the beginning of this one: RFC 6962 2.1.2.

    Raises
    ------
    ValueError
        When the old tree is empty or larger.
    """
    if not 0 < old_size <= len(leaves):
        raise ValueError("The old tree has to have between one leaf and all of them.")
    return tuple(_subproof(leaves, old_size, known=True))


def _subproof(leaves: Sequence[bytes], old_size: int, *, known: bool) -> Iterator[bytes]:
    if old_size == len(leaves):
        if not known:
            yield root_of(leaves)
        return
    middle = _split(len(leaves))
    if old_size <= middle:
        yield from _subproof(leaves[:middle], old_size, known=known)
        yield root_of(leaves[middle:])
    else:
        yield from _subproof(leaves[middle:], old_size - middle, known=False)
        yield root_of(leaves[:middle])


def verify_consistency(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Check a consistency proof (RFC 9162 2.1.4.2)."""
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == root
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        return False
    place, last = old_size - 1, size - 1
    while place & 1:
        place >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while place and not place & 1:
                place >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and old == old_root and new == root
