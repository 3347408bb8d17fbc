"""Who may wait at the door: connections without an association, and how many associations there may be.

Rule: a newcomer is never refused because others are silent. When there are too
many, the oldest connection that has said nothing makes room, taken from the
address that has most of them; only when all have spoken, the oldest that is
still shaking hands. So one address cannot keep another out, and a thousand
silent connections cannot keep out one that speaks.
"""

from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address


@dataclass(slots=True)
class _Waiting:
    """Connections of one address, oldest first (a dict keeps its order)."""

    silent: dict[int, None] = field(default_factory=dict[int, None])
    spoken: dict[int, None] = field(default_factory=dict[int, None])

    def __len__(self) -> int:
        return len(self.silent) + len(self.spoken)


class Admission:
    """Counts connections and associations; connections are known by a number.

    Parameters
    ----------
    pending, pending_per_address : int
        connections without an association, in total and from one address.
    associations, associations_per_address : int
        established associations, in total and from one address.
    """

    def __init__(
        self, *, pending: int, pending_per_address: int, associations: int, associations_per_address: int
    ) -> None:
        self._pending = pending
        self._pending_per_address = pending_per_address
        self._associations = associations
        self._associations_per_address = associations_per_address
        self._waiting: dict[Address, _Waiting] = {}
        self._count = 0
        self._associated: Counter[Address] = Counter()

    @property
    def pending(self) -> int:
        """Connections without an association."""
        return self._count

    @property
    def associations(self) -> int:
        """Established associations."""
        return self._associated.total()

    def arrive(self, address: Address, number: int) -> int | None:
        """Let a connection in; give the one that has to go for it, if any."""
        evicted: int | None = None
        own = self._waiting.get(address)
        if own is not None and len(own) >= self._pending_per_address:
            evicted = self._evict(address, own)
        elif self._count >= self._pending:
            evicted = self._evict_noisiest()
        self._waiting.setdefault(address, _Waiting()).silent[number] = None
        self._count += 1
        return evicted

    def spoke(self, address: Address, number: int) -> None:
        """Note that a connection has sent its first byte."""
        waiting = self._waiting.get(address)
        if waiting is not None and number in waiting.silent:
            del waiting.silent[number]
            waiting.spoken[number] = None

    def leave(self, address: Address, number: int) -> None:
        """Note that a connection is gone or has become an association."""
        waiting = self._waiting.get(address)
        if waiting is None or (number not in waiting.silent and number not in waiting.spoken):
            return
        waiting.silent.pop(number, None)
        waiting.spoken.pop(number, None)
        self._count -= 1
        if not waiting:
            del self._waiting[address]

    def associate(self, address: Address) -> bool:
        """Count an association; say no when there are too many."""
        if (
            self._associated.total() >= self._associations
            or self._associated[address] >= self._associations_per_address
        ):
            return False
        self._associated[address] += 1
        return True

    def dissociate(self, address: Address) -> None:
        """Note that an association has ended."""
        self._associated[address] -= 1
        if self._associated[address] <= 0:
            del self._associated[address]

    def _evict_noisiest(self) -> int:
        address = max(self._waiting, key=lambda each: (len(self._waiting[each].silent), len(self._waiting[each])))
        return self._evict(address, self._waiting[address])

    def _evict(self, address: Address, waiting: _Waiting) -> int:
        number = next(iter(waiting.silent or waiting.spoken))
        self.leave(address, number)
        return number
