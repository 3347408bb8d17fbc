"""Passwords: which are taken, and how they are kept and compared.

Rule 1. A long passphrase and no composition rules; blank ones, those everybody
tries first, those that PACS are shipped with and the account's own name are
refused (NIST SP 800-63B 5.1.1.2). Rule 2. Each guess costs memory, and how many
guesses are worked on at a time is bounded: a flood of sign-ins can take neither
the memory nor the processors, and one network cannot take the turns of another.
Rule 3. Whether or not there is an account, the same work is done.
"""

import hmac
import re
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Final

from leadglass.crypto.passphrase import MOST, Cost, Stretch, normal
from leadglass.errors import BadInput, Busy, Misconfigured
from leadglass.identity.common_passwords import COMMON, WHOLE

LEAST: Final = 12
"""Characters of a password."""

_OWN: Final = 6
"""Characters that are left when what everybody tries is taken away."""

_DIFFERENT: Final = 4
"""Different ones among these."""

COST: Final = Cost(memory_kib=64 * 1024, passes=3, lanes=1)
"""Memory and passes of RFC 9106's second recommendation, 64 MiB and three. One lane, not four: OpenSSL 4.0.3
works on several lanes in threads of its own, and hangs for ever when two derivations do so at one time."""

AT_A_TIME: Final = 2
"""Guesses worked on at a time: 128 MiB and two processors."""

WAITING: Final = 20
"""Guesses that wait, at most."""

OF_ONE_NETWORK: Final = 8
"""Guesses of one network that are worked on or wait."""

_PATIENCE: Final = 20.0
"""Seconds a guess waits for its turn."""

_ADVICE: Final = "Take four or more words that have nothing to do with each other, or let a password manager make one."


@dataclass(frozen=True, slots=True)
class Hash:
    """What is kept of a password.

    Parameters
    ----------
    stretch : Stretch
        Salt and cost.
    value : bytes
        32 bytes.
    """

    stretch: Stretch
    value: bytes


class Passwords:
    """Hashes and compares passwords, a few at a time. Safe for threads.

    Parameters
    ----------
    cost : Cost
        What a guess at a new password is to cost; of one lane.
    at_a_time, waiting, of_one_network : int
        How many are worked on, how many wait, and how many of both are one network's.

    Raises
    ------
    Misconfigured
        When the cost has several lanes.
    """

    def __init__(
        self,
        cost: Cost = COST,
        *,
        at_a_time: int = AT_A_TIME,
        waiting: int = WAITING,
        of_one_network: int = OF_ONE_NETWORK,
    ) -> None:
        if cost.lanes != 1:
            raise Misconfigured("Passwords are hashed in one lane: several hang when two are hashed at one time.")
        self._cost = cost
        self._at_a_time = at_a_time
        self._most = at_a_time + waiting
        self._of_one_network = of_one_network
        self._turn = Condition()
        self._working = 0
        self._inside: Counter[str] = Counter()
        self._nobody = Hash(Stretch.new(cost), bytes(32))

    def hash(self, password: str, network: str = "") -> Hash:
        """Hash a new password.

        Raises
        ------
        Busy
            When too many wait.
        Misconfigured
            When this machine has not the memory.
        """
        stretch = Stretch.new(self._cost)
        with self.having_turn(network):
            return Hash(stretch, stretch.key(password))

    def matches(self, password: str, hashed: Hash | None, network: str) -> bool:
        """Say whether a password is the one that was hashed; None costs the same and is never matched.

        Raises
        ------
        Busy, Misconfigured
        """
        if hashed is not None and hashed.stretch.cost.lanes != 1:
            hashed = None  # see COST; nobody made one here
        against = hashed or self._nobody
        with self.having_turn(network):
            value = against.stretch.key(password[:MOST])
        return hmac.compare_digest(value, against.value) and hashed is not None

    def is_outdated(self, hashed: Hash) -> bool:
        """Say whether a password was hashed at another cost than is asked for today."""
        return hashed.stretch.cost != self._cost

    def inside(self, network: str) -> int:
        """Say how many guesses of one network are worked on or wait."""
        with self._turn:
            return self._inside[network]

    @contextmanager
    def having_turn(self, network: str) -> Generator[None]:
        """Hold one of the turns, for as long as a guess takes; raises ``Busy``."""
        with self._turn:
            if self._inside.total() >= self._most or self._inside[network] >= self._of_one_network:
                raise Busy("Too many people sign in at this moment. Try again in a few seconds.")
            self._inside[network] += 1
            if not self._turn.wait_for(lambda: self._working < self._at_a_time, _PATIENCE):
                self._leave(network)
                raise Busy("Too many people sign in at this moment. Try again in a few seconds.")
            self._working += 1
        try:
            yield
        finally:
            with self._turn:
                self._working -= 1
                self._leave(network)
                self._turn.notify()

    def _leave(self, network: str) -> None:
        self._inside[network] -= 1
        if not self._inside[network]:
            del self._inside[network]


def require_good(password: str, name: str) -> str:
    """Refuse a password that would be guessed; gives it in its normal form.

    Parameters
    ----------
    password : str
        What was typed.
    name : str
        The account it is for.

    Raises
    ------
    BadInput
        With what is wrong and what would be better; never with the password.
    """
    text = normal(password)
    if not text.strip():
        raise BadInput(f"A password cannot be blank. {_ADVICE}")
    if not text.isprintable():
        raise BadInput(f"A password holds no control characters. {_ADVICE}")
    if len(text) > MOST:
        raise BadInput(f"A password has at most {MOST:,} characters. {_ADVICE}")
    if len(text) < LEAST:
        raise BadInput(f"A password has at least {LEAST} characters. {_ADVICE}")
    if text.casefold() in WHOLE:
        raise BadInput(f"This password is one of those everybody tries first. {_ADVICE}")
    for left in _left_over(text, name):
        if len(left) < _OWN or len(set(left)) < _DIFFERENT:
            raise BadInput(f"This password is made of what everybody tries first, or of the account's name. {_ADVICE}")
    return text


_LEET: Final = str.maketrans("013457@$!", "oleastasi")

_ORNAMENT: Final = " !?.,;:-_*#+~$%&()[]{}<>|/\\\"'=^`"

_PART: Final = re.compile(r"[^\W_]{3,}")

_YEAR: Final = re.compile(r"(19|20)\d\d")


def _left_over(text: str, name: str) -> Generator[str]:
    """Give what is left of a password without common words, runs and ornament, as written and in plain letters."""
    words = sorted({*COMMON, *_PART.findall(name.casefold()), name.casefold()}, key=len, reverse=True)
    plain = _YEAR.sub(" ", text.casefold()).strip(_ORNAMENT)
    for each in (plain, plain.translate(_LEET)):
        left = each
        for word in words:
            left = left.replace(word, " ").replace(word[::-1], " ")
        yield "".join(c for c in _without_runs(left) if c.isalnum())


def _without_runs(text: str) -> str:
    """Take away what goes on by itself: aaaa, 1234, dcba; of each such run its first character stays."""
    kept: list[str] = []
    start = 0
    while start < len(text):
        end = start + 1
        step = ord(text[end]) - ord(text[start]) if end < len(text) else 2
        if abs(step) <= 1:
            while end < len(text) and ord(text[end]) - ord(text[end - 1]) == step:
                end += 1
        kept.append(text[start] if end - start >= 3 else text[start:end])
        start = end
    return "".join(kept)
