"""Refusals: strangers go on record, and a flood of them cannot fill the log.

Rule 1. The first refusal of a peer, under a name, for a reason is written at
once; while few strangers come, so are its next ones. Rule 2. Further repeats
within a window are counted and written as one record when the window ends, so
that nothing is lost but the repetition. Rule 3. The number of windows is
bounded: past it, peers are counted together by network, then all together.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from threading import Lock, Timer
from time import monotonic
from typing import Final

from leadglass.audit.event import Event
from leadglass.audit.log import AuditLog
from leadglass.errors import LeadglassError

WINDOW: Final = 60.0
"""Seconds for which repeats are counted together: an operator who watches sees a flood within a minute."""

MAX_PEERS: Final = 512
MAX_NETWORKS: Final = 128
"""Windows open at a time, for single peers and for networks: with the records
that close them, a flood writes at most about 25 records a second."""

SINGLY: Final = 8
"""Refusals in one window that are written one by one: somebody who sets up a
modality tries a few times, and each try is worth a line."""

QUIET: Final = 32
"""Windows open at a time up to which ``SINGLY`` holds; with more, it is a flood."""

OTHERS: Final = "others"
"""What stands for the peer when even networks are too many."""

_Key = tuple[str, str, str, str]


@dataclass(slots=True)
class _Window:
    """One refusal and its repeats: those that were written one by one, and those that are counted."""

    opened: float
    last: Event
    singly: int = 1
    repeated: int = 0
    peers: set[str] = field(default_factory=set[str])


class Refusals:
    """Writes refusals of strangers to the audit log, repeats counted.

    Parameters
    ----------
    log : AuditLog
        Where they go.
    window : float
        Seconds for which repeats are counted together.
    max_peers, max_networks : int
        Bounds on what is told apart.
    singly : int
        Refusals in one window that are written one by one while few strangers come.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        log: AuditLog,
        *,
        window: float = WINDOW,
        max_peers: int = MAX_PEERS,
        max_networks: int = MAX_NETWORKS,
        singly: int = SINGLY,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._log = log
        self._window = window
        self._max_peers = max_peers
        self._max_networks = max_networks
        self._singly = singly
        self._clock = clock
        self._lock = Lock()
        self._peers: dict[_Key, _Window] = {}
        self._networks: dict[_Key, _Window] = {}
        self._timer: Timer | None = None
        self._closed = False

    def add(self, event: Event, why: str, claimed: str = "") -> None:
        """Put a refusal on record.

        Parameters
        ----------
        event : Event
            The refusal, with the peer's address.
        why : str
            The kind of reason, one of a few words: repeats with the same word
            count together.
        claimed : str
            Who the stranger claims to be: told apart as long as there is room.

        Raises
        ------
        Busy, Full, Corrupt, Misconfigured
            When the log cannot be written.
        """
        now = self._clock()
        ended: _Window | None = None
        with self._lock:
            table, key, shown = self._place(event, why, claimed)
            window = table.get(key)
            if window is not None and now - window.opened < self._window:
                window.last = event
                if len(window.peers) < self._max_peers:
                    window.peers.add(event.peer)
                if window.singly >= self._singly or len(self._peers) > QUIET or table is self._networks:
                    window.repeated += 1
                    return
                window.singly += 1
            else:
                ended = table.pop(key, None)
                window = table[key] = _Window(now, event, peers={event.peer})
                self._arm()
        unwritten = 1 if ended is None else 1 + ended.repeated
        try:
            if ended is not None:
                self._write(shown, ended)
                unwritten = 1
            self._log.append(event)
        except LeadglassError:
            with self._lock:
                window.repeated += unwritten  # so that it is written when the log can be
            raise

    def _place(self, event: Event, why: str, claimed: str) -> tuple[dict[_Key, _Window], _Key, str]:
        """Find the window an event counts in: the peer's own, its network's, or that of all others."""
        own: _Key = (event.peer, event.action, why, claimed)
        if own in self._peers or len(self._peers) < self._max_peers:
            return self._peers, own, event.peer
        network = _network_of(event.peer)
        shared: _Key = (network, event.action, why, "")
        if shared in self._networks or len(self._networks) < self._max_networks:
            return self._networks, shared, network
        # Not `why`: the number of these windows must not depend on what strangers do.
        return self._networks, (OTHERS, "", "", ""), OTHERS

    def expire(self) -> None:
        """Write and forget the windows that have ended. A timer does this; tests may."""
        self._end(lambda window: self._clock() - window.opened >= self._window)

    def close(self) -> None:
        """Write what was counted, and stop counting."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        self._end(lambda _: True)

    def _end(self, has_ended: Callable[[_Window], bool]) -> None:
        with self._lock:
            ended = [
                (table, key, window)
                for table in (self._peers, self._networks)
                for key, window in table.items()
                if has_ended(window)
            ]
            for table, key, _ in ended:
                del table[key]
        for at, (_, key, window) in enumerate(ended):
            try:
                self._write(key[0], window)
            except LeadglassError:
                self._put_back(ended[at:])
                raise

    def _put_back(self, windows: list[tuple[dict[_Key, _Window], _Key, _Window]]) -> None:
        """Keep counts that could not be written, for the next time."""
        with self._lock:
            for table, key, window in windows:
                kept = table.setdefault(key, window)
                if kept is not window:
                    kept.repeated += window.repeated

    def _write(self, shown: str, window: _Window) -> None:
        if not window.repeated:
            return
        detail = {**window.last.detail, "repeated": window.repeated}
        if len(window.peers) > 1:
            detail["peers"] = len(window.peers)
        self._log.append(replace(window.last, peer=shown, detail=detail))

    def _arm(self) -> None:
        """Make sure that what was counted is written when its window ends, even if nobody comes again."""
        if self._timer is None and not self._closed:
            self._timer = Timer(self._window, self._tick)
            self._timer.daemon = True
            self._timer.start()

    def _tick(self) -> None:
        try:
            self.expire()
        except LeadglassError:
            pass  # the counts are kept; whoever needs the log to act hears of its state by then
        finally:
            with self._lock:
                self._timer = None
                if self._peers or self._networks:
                    self._arm()


def _network_of(peer: str) -> str:
    """Name the network that a peer is counted with: /24 (IPv4) or /48 (IPv6)."""
    try:
        address = ip_address(peer)
    except ValueError:
        return OTHERS
    if isinstance(address, IPv4Address):
        return str(IPv4Network((int(address), 24), strict=False))
    return str(IPv6Network((int(address), 48), strict=False))
