"""Webhooks: configured receivers are told of what happens, by a signed POST of ids.

Rule 1. Only what the operator wrote down is called: no redirect is followed, no
proxy of the environment is used, and no answer is read. Rule 2. A body holds ids
and nothing else. Rule 3. How far a receiver has come is kept on stable storage
after it said yes: it may hear something twice, and misses nothing. Rule 4.
Nothing waits for a receiver, storing least of all.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx
import msgspec

from leadglass.archive.changed import Changes
from leadglass.doors.dicomweb.changes import entry_of
from leadglass.doors.threads import Threads
from leadglass.errors import BadInput, LeadglassError, Misconfigured
from leadglass.policy.caller import Caller

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive
    from leadglass.jobs.queue import Queue

LOG: Final = logging.getLogger(__name__)

SIGNATURE: Final = "Leadglass-Signature"
TIMESTAMP: Final = "Leadglass-Timestamp"
LEAST_SECRET: Final = 32
"""Characters of the secret."""

_NOW: Final = "now"
_BATCH: Final = 500
"""Changes of one body; some 100 kB."""
_LOOPBACK_NAMES: Final = frozenset({"localhost"})


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is told.

    Parameters
    ----------
    url : str
        What is called.
    name : str
        Host and port, for records and logs: a path may hold a secret.
    """

    url: str
    name: str


@dataclass(frozen=True, slots=True)
class HookPace:
    """Seconds: of one attempt, between attempts, until somebody is told of failures, between two looks."""

    timeout: float = 10.0
    retry: float = 1.0
    retry_longest: float = 3_600.0
    alert_after: float = 600.0
    look: float = 1.0


def receivers_of(urls: Sequence[str], unsafe_urls: Sequence[str]) -> tuple[Receiver, ...]:
    """Read configured URLs.

    Raises
    ------
    Misconfigured
        When one is no URL of the kind it has to be.
    """
    found = [_receiver(url, "https", "[webhooks] receivers") for url in urls]
    for url in unsafe_urls:
        receiver = _receiver(url, "http", "[webhooks] unsafe_loopback_receivers")
        if not _is_loopback(urlsplit(url).hostname or ""):
            raise Misconfigured("[webhooks] unsafe_loopback_receivers names another machine. Call it by https.")
        found.append(receiver)
    if len({each.url for each in found}) < len(found):
        raise Misconfigured("[webhooks] names a receiver twice. Correct leadglass.toml.")
    return tuple(found)


def _receiver(url: str, scheme: str, where: str) -> Receiver:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = parts = None
    if parts is None or not host or parts.scheme != scheme or parts.fragment or "@" in parts.netloc:
        raise Misconfigured(f"{where} holds something that is no {scheme} URL without user and fragment. Correct it.")
    return Receiver(url, f"{host}:{port}" if port else host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOOPBACK_NAMES


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """Give the signature of a body: HMAC-SHA-256 over time and body."""
    return "v1=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class Webhooks:
    """Tells every receiver, each at its own pace.

    Parameters
    ----------
    archive : Archive
        Whose changes they are.
    queue : Queue
        Where it is kept how far each receiver has come.
    receivers : sequence of Receiver
        Who is told.
    secret : bytes
        What bodies are signed with.
    ae_title : str
        What the archive calls itself.
    caller_of : callable
        Gives the identity on whose behalf a receiver is told, by its name.
    threads : Threads
        Where blocking calls are made.
    tell : callable
        Puts an alert on record.
    context : ssl.SSLContext
        Whose certificates are trusted.
    pace : HookPace
        How patiently.
    """

    def __init__(
        self,
        archive: "Archive",
        queue: "Queue",
        receivers: Sequence[Receiver],
        secret: bytes,
        ae_title: str,
        caller_of: Callable[[str], Caller],
        *,
        threads: Threads,
        tell: Callable[[str], object],
        context: ssl.SSLContext,
        pace: HookPace | None = None,
    ) -> None:
        self._archive = archive
        self._queue = queue
        self._receivers = receivers
        self._secret = secret
        self._ae_title = ae_title
        self._caller_of = caller_of
        self._threads = threads
        self._tell = tell
        self._context = context
        self._pace = pace or HookPace()

    async def run(self) -> None:
        """Tell everybody, until cancelled."""
        async with httpx.AsyncClient(
            verify=self._context, timeout=self._pace.timeout, follow_redirects=False, trust_env=False
        ) as client:
            await asyncio.gather(*(self._serve(receiver, client) for receiver in self._receivers))

    async def _serve(self, receiver: Receiver, client: httpx.AsyncClient) -> None:
        """Tell one receiver what it has not heard, again and again."""
        caller, pace, loop = self._caller_of(receiver.name), self._pace, asyncio.get_running_loop()
        pause, failing_since, is_told = pace.retry, 0.0, False
        while True:
            failure = await self._attempt(receiver, caller, client)
            if not failure:
                pause, failing_since, is_told = pace.retry, 0.0, False
                await asyncio.sleep(pace.look)
                continue
            failing_since = failing_since or loop.time()
            LOG.warning("webhook failed", extra={"receiver": receiver.name, "reason": failure})
            if not is_told and loop.time() - failing_since >= pace.alert_after:
                is_told = await self._alert(receiver, failure)
            await asyncio.sleep(pause)
            pause = min(2 * pause, pace.retry_longest)

    async def _attempt(self, receiver: Receiver, caller: Caller, client: httpx.AsyncClient) -> str:
        """Tell a receiver all that there is; gives why it could not be done, empty when it could."""
        try:
            while True:
                found = await self._threads.run(self._next, receiver, caller)
                if found is None:
                    return ""
                failure = await self._post(receiver, found, client)
                if failure:
                    return failure
                await self._threads.run(self._queue.come_to, receiver.url, found.next)
                if found.is_last:
                    return ""
        except LeadglassError as error:
            return error.message

    def _next(self, receiver: Receiver, caller: Caller) -> Changes | None:
        """Give what a receiver is to hear next; None when there is nothing. One that is new hears of what comes."""
        place = self._queue.place(receiver.url)
        if place is None:
            start = self._archive.changes(caller, _NOW, 1)
            self._queue.come_to(receiver.url, start.next)
            return None
        if place == str(self._archive.newest_change(caller)):
            return None
        try:
            found = self._archive.changes(caller, place, _BATCH, record=False)
        except BadInput:
            # The index was put back to an earlier state: what has been told since is told again, and more.
            self._tell(f"The archive was restored; {receiver.name} is told everything from the beginning")
            found = self._archive.changes(caller, "", _BATCH, record=False)
        return found if found.entries else None

    async def _post(self, receiver: Receiver, found: Changes, client: httpx.AsyncClient) -> str:
        body = msgspec.json.encode(
            {"archive": self._ae_title, "changes": [entry_of(each) for each in found.entries], "next": found.next}
        )
        timestamp = str(int(time()))
        headers = {
            "Content-Type": "application/json",
            TIMESTAMP: timestamp,
            SIGNATURE: sign(self._secret, timestamp, body),
        }
        try:
            async with client.stream("POST", receiver.url, content=body, headers=headers) as answer:
                return "" if answer.is_success else f"it answered {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__

    async def _alert(self, receiver: Receiver, failure: str) -> bool:
        try:
            await self._threads.run(
                self._tell, f"The webhook receiver {receiver.name} cannot be told ({failure}). See that it runs."
            )
        except LeadglassError:
            return False
        return True
