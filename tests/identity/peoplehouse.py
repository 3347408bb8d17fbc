"""A house of people: accounts over a real sealed database, cheap hashes, and clocks that a test may set."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from leadglass.audit.event import Event
from leadglass.audit.log import AuditLog
from leadglass.audit.refusals import Refusals
from leadglass.crypto.passphrase import Cost
from leadglass.identity.accounts import Accounts, open_accounts
from leadglass.identity.onetime import Purpose
from leadglass.identity.person import Person
from leadglass.identity.sessions import OpenedSession
from leadglass.identity.signin import SignIn
from leadglass.policy.caller import Caller
from leadglass.policy.roles import Role
from leadglass.policy.scope import Scope
from tests.callers import everything

KEY = bytes(32)
SEED = bytes(range(32))
CHEAP = Cost(memory_kib=8_192, passes=1, lanes=1)
"""The least that the schema takes: tests are not guessed at."""

GOOD = "violet tractor kneeling moss"
BETTER = "eleven quiet ferries at dawn"
HERE = "10.1.2.3"
ELSEWHERE = "10.9.9.9"


class Clocks:
    """A wall clock and a monotonic one that go together, when told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self.ticks = 1_000.0

    def wall(self) -> datetime:
        """Give the time."""
        return self.now

    def monotonic(self) -> float:
        """Give seconds."""
        return self.ticks

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.ticks += seconds
        self.now += timedelta(seconds=seconds)


@dataclass(frozen=True)
class PeopleHouse:
    """Everything somebody signs in with."""

    folder: Path
    clocks: Clocks
    log: AuditLog
    accounts: Accounts
    door: SignIn

    def person(self, name: str = "jane", role: Role = Role.RADIOLOGIST, scope: Scope | None = None) -> Person:
        """Make an account with the good password."""
        return self.accounts.people.add(everything(), name, role, scope, password=GOOD)

    def opened(self, name: str = "jane", password: str = GOOD, peer: str = HERE) -> OpenedSession:
        """Sign somebody in who needs no second factor."""
        opened = self.door.sign_in(name, password, peer)
        assert isinstance(opened, OpenedSession)
        return opened

    def caller(self, name: str = "jane", peer: str = HERE) -> Caller:
        """Sign somebody in and give the caller that they are."""
        return self.accounts.sessions.caller(self.opened(name, peer=peer).secret, peer)

    def set_up_secret(self, person: Person) -> str:
        """Make a set-up link and give its secret."""
        return self.accounts.links.make(everything(), person, Purpose.SET_UP).secret

    def events(self, action: str) -> list[Event]:
        """Give what is on record of an action."""
        return [record.event for record in self.log.records() if record.event.action == action]

    def everything_on_disk(self) -> bytes:
        """Give every byte of the folder."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.iterdir()) if path.is_file())


@contextmanager
def people_house(folder: Path) -> Generator[PeopleHouse]:
    """Open one."""
    clocks = Clocks()
    with AuditLog(folder / "audit.db", KEY, SEED, clock=clocks.wall) as log:
        refusals = Refusals(log, clock=clocks.monotonic)
        try:
            with open_accounts(folder / "people.db", KEY, log, door="web", cost=CHEAP, clock=clocks.wall) as accounts:
                door = accounts.sign_in(refusals, clock=clocks.monotonic)
                yield PeopleHouse(folder, clocks, log, accounts, door)
        finally:
            refusals.close()
