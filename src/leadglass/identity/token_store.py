"""What the stores of tokens share: those of programs and those of people lie in one sealed database.

Rule: when a token was last used is noted in memory, and written down every few
minutes and at the end; a request that shows one waits for no disk.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from leadglass.audit.log import AuditLog
from leadglass.crypto.database import transaction
from leadglass.errors import LeadglassError
from leadglass.identity.store import WatchedStore

LEAST_LIFE: Final = timedelta(minutes=1)
LONGEST_LIFE: Final = timedelta(days=90)
"""How long a token may live unless the operator says otherwise."""

REMEMBERED: Final = timedelta(days=365)
"""How long a token is remembered after its time, so that its use is refused for what it is."""

MEETING: Final = timedelta(hours=1)
"""How long one record covers the uses of a token from one address; its session id joins what is done meanwhile."""

MEETINGS: Final = 4_096
"""Pairs of token and address that are remembered."""


class TokenStore(WatchedStore):
    """Tokens of one kind, in a table of their own with the columns ``id`` and ``used``.

    Parameters
    ----------
    path, key, schema, clock
        As of ``SealedStore``.
    table : str
        The table's name.
    audit : AuditLog
        Where changes, and first uses, are recorded.
    longest : timedelta
        How long a token may live.
    door : str
        For the records.
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        schema: Iterable[str],
        clock: Callable[[], datetime],
        *,
        table: str,
        audit: AuditLog,
        longest: timedelta,
        door: str,
    ) -> None:
        super().__init__(path, key, schema, clock)
        self._table = table
        self._audit = audit
        self._longest = longest
        self._door = door
        self._used: dict[str, datetime] = {}

    def close(self) -> None:
        """Write down when tokens were last used, and close the database."""
        try:
            self.tidy()
        finally:
            super().close()

    @property
    def longest(self) -> timedelta:
        """How long a token may live."""
        return self._longest

    def tidy(self) -> None:
        """Write down when tokens were last used. Somebody does this every few minutes."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            with self._lock, transaction(self._connection, self._path.name):
                self._connection.executemany(
                    f"UPDATE {self._table} SET used = ? WHERE id = ?",  # noqa: S608 - a name of ours
                    [(when.replace(second=0, microsecond=0).isoformat(), id_) for id_, when in used.items()],
                )
        except LeadglassError:
            self._used = {**used, **self._used}
            raise
