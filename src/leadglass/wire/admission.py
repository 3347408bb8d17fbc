"""Who may wait at the door: connections without an association, and how many associations there may be.

Rule: a newcomer is never refused because others are silent. When there are too
many, one of the oldest that have said nothing makes room, that of the address
with most connections; only when all have spoken, the oldest that is
still shaking hands. So one address cannot keep another out, and a thousand
silent connections cannot keep out one that speaks.

Two things keep a flood that speaks (half a TLS handshake) from washing out a
caller who is about to: a connection is not called silent before some others
have come after it, and an address from which an association was accepted
before makes room last.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import Final

Address = IPv4Address | IPv6Address

_CHOICE: Final = 32
"""oldest connections among which the noisiest address is looked for: it is done for each newcomer of a flood"""

_WELCOME: Final = 4096
"""addresses remembered as those of accepted associations; more than any archive has devices"""


@dataclass(slots=True)
class _Waiting:
    """Connections of one address, oldest first (a dict keeps its order)."""

    address: Address
    is_welcome: bool
    silent: dict[int, None] = field(default_factory=dict[int, None])
    spoken: dict[int, None] = field(default_factory=dict[int, None])

    def __len__(self) -> int:
        return len(self.silent) + len(self.spoken)

    @property
    def noise(self) -> tuple[bool, int]:
        """What makes a connection of this address go before another's."""
        return (not self.is_welcome, len(self))


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
        self._silent: dict[int, _Waiting] = {}
        self._spoken: dict[int, _Waiting] = {}
        self._newest = 0
        self._associated: Counter[Address] = Counter()
        self._welcome: OrderedDict[Address, None] = OrderedDict()

    @property
    def pending(self) -> int:
        """Connections without an association."""
        return len(self._silent) + len(self._spoken)

    @property
    def associations(self) -> int:
        """Established associations."""
        return self._associated.total()

    def arrive(self, address: Address, number: int) -> int | None:
        """Let a connection in; give the one that has to go for it, if any."""
        evicted: int | None = None
        own = self._waiting.get(address)
        if own is not None and len(own) >= self._pending_per_address:
            evicted = _first(own.silent, self._newest - self._pending_per_address // 2)
            evicted = _first(own.spoken or own.silent) if evicted is None else evicted
        elif self.pending >= self._pending:
            evicted = self._noisiest(self._newest - self._pending // 2)
        if evicted is not None:
            self._forget(evicted)
        waiting = self._waiting.setdefault(address, _Waiting(address, address in self._welcome))
        waiting.silent[number] = None
        self._silent[number] = waiting
        self._newest = number
        return evicted

    def spoke(self, number: int) -> None:
        """Note that a connection has sent its first byte."""
        waiting = self._silent.pop(number, None)
        if waiting is not None:
            del waiting.silent[number]
            waiting.spoken[number] = None
            self._spoken[number] = waiting

    def leave(self, number: int) -> None:
        """Note that a connection is gone or has become an association."""
        if number in self._silent or number in self._spoken:
            self._forget(number)

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
        if address in self._waiting:
            self._waiting[address].is_welcome = True

    def _noisiest(self, horizon: int) -> int:
        """Choose among the oldest: those that are silent, if they have been for a while, else those that spoke."""
        if _first(self._silent, horizon) is not None:
            oldest = [each for each in islice(self._silent.items(), _CHOICE) if each[0] <= horizon]
        else:
            oldest = list(islice((self._spoken or self._silent).items(), _CHOICE))
        return max(oldest, key=lambda each: each[1].noise)[0]

    def _forget(self, number: int) -> None:
        waiting = self._silent.pop(number, None) or self._spoken.pop(number)
        waiting.silent.pop(number, None)
        waiting.spoken.pop(number, None)
        if not len(waiting):
            del self._waiting[waiting.address]


def _first(numbers: Iterable[int], horizon: int | None = None) -> int | None:
    """Give the first of them, if it came before ``horizon``."""
    number = next(iter(numbers), None)
    return number if number is not None and (horizon is None or number <= horizon) else None
