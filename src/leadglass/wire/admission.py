"""Who may wait at the door: connections without an association, and how many associations there may be.

Rule: a newcomer is never refused because others are silent. When there are too
many, the oldest connection that has said nothing makes room, taken from the
address that has most of them; only when all have spoken, the oldest that is
still shaking hands. So one address cannot keep another out, and a thousand
silent connections cannot keep out one that speaks.

Two things keep a flood that speaks (half a TLS handshake) from washing out a
caller who is about to: a connection is not called silent before some others
have come after it, and an address from which an association was accepted
before makes room last.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final

Address = IPv4Address | IPv6Address

_WELCOME: Final = 4096
"""addresses remembered as those of accepted associations; more than any archive has devices"""


@dataclass(slots=True)
class _Waiting:
    """Connections of one address, oldest first (a dict keeps its order)."""

    silent: dict[int, None] = field(default_factory=dict[int, None])
    spoken: dict[int, None] = field(default_factory=dict[int, None])

    def __len__(self) -> int:
        return len(self.silent) + len(self.spoken)

    def silent_since(self, horizon: int) -> int | None:
        """Give the oldest that has said nothing, if it came before ``horizon``."""
        number = next(iter(self.silent), None)
        return number if number is not None and number <= horizon else None

    def oldest(self) -> int:
        """Give the oldest."""
        return min(next(iter(each)) for each in (self.silent, self.spoken) if each)


class Admission:
    """Counts connections and associations; connections are known by a number that grows.

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
        self._newest = 0
        self._associated: Counter[Address] = Counter()
        self._welcome: OrderedDict[Address, None] = OrderedDict()

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
            evicted = self._evict(address, self._newest - self._pending_per_address // 2)
        elif self._count >= self._pending:
            evicted = self._evict_noisiest(self._newest - self._pending // 2)
        self._newest = number
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

    def welcome(self, address: Address) -> None:
        """Note that an association of this address was accepted: it is nobody's flood."""
        self._welcome[address] = None
        self._welcome.move_to_end(address)
        if len(self._welcome) > _WELCOME:
            self._welcome.popitem(last=False)

    def _evict_noisiest(self, horizon: int) -> int:
        def noise(each: Address) -> tuple[bool, bool, int, int, int]:
            waiting = self._waiting[each]
            silent = waiting.silent_since(horizon) is not None
            return (
                silent,
                each not in self._welcome,
                len(waiting.silent) if silent else 0,
                len(waiting),
                -waiting.oldest(),
            )

        return self._evict(max(self._waiting, key=noise), horizon)

    def _evict(self, address: Address, horizon: int) -> int:
        waiting = self._waiting[address]
        number = waiting.silent_since(horizon)
        if number is None:
            number = waiting.oldest()
        self.leave(address, number)
        return number
