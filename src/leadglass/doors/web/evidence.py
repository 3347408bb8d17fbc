"""Evidence: what a request shows of who asks becomes a Caller, or the answer is 401.

Rule 1. Who shows two of a session, a visit by a link and an Authorization field is
nobody: what is meant is not guessed at. Rule 2. Whoever is not identified hears one
answer, whatever the reason; the true one goes on record. Rule 3. No secret is kept,
logged or compared here: each kind hands it to the part of ``identity`` that knows it.
"""

from base64 import b64decode
from collections.abc import Callable
from typing import Final, Protocol

from starlette.requests import Request

from leadglass.doors.threads import Threads
from leadglass.errors import Denied
from leadglass.policy.caller import Caller

BEARER: Final = "bearer"

SESSION_COOKIE: Final = "__Host-leadglass"
"""The prefix has browsers take it only with ``Secure``, ``Path=/`` and without ``Domain`` (RFC 6265bis 4.1.3.2)."""

SHARE_COOKIE: Final = "__Host-leadglass-share"
"""The same of who is here by a link."""

BEING_SENT: Final = "leadglass.being_sent"
"""Where a request's scope says that its answer is being taken, at this moment: that is use, as asking is."""

_LONGEST_TOKEN: Final = 4_096
"""Characters of a bearer token at most; those of other issuers (JWT) have one or two thousand."""


class Unidentified(Denied):
    """Nobody was identified. The message is for the audit log; who asks hears nothing of it."""


class Evidence(Protocol):
    """One kind of evidence, or several taken together."""

    async def caller(self, request: Request) -> Caller | None:
        """Find out who asks.

        Returns
        -------
        Caller or None
            None when the request shows nothing of this kind.

        Raises
        ------
        Denied
            When it does, and that proves nobody.
        Busy, Full, Corrupt, Misconfigured
            When it cannot be said now: then nobody is let in.
        """
        ...


class TokenBook(Protocol):
    """Who knows bearer tokens (``identity.tokens``)."""

    def known(self, text: str, peer: str) -> Caller | None:
        """Give the caller a token was found to stand for, from memory and as of now; None: ask ``caller``."""
        ...

    def caller(self, text: str, peer: str) -> Caller:
        """Give the caller a token stands for; raises ``Denied``."""
        ...


class Bearer:
    """Tokens in the Authorization field (RFC 6750 2.1); nowhere else, because URLs and forms are kept by others.

    Parameters
    ----------
    tokens : TokenBook
        Who knows them.
    threads : Threads
        Where it is asked about one that was not met lately.
    """

    def __init__(self, tokens: TokenBook, threads: Threads) -> None:
        self._tokens = tokens
        self._threads = threads

    async def caller(self, request: Request) -> Caller | None:
        """Give the caller of the token; None without one."""
        shown = credentials(request, BEARER)
        if shown is None:
            return None
        if not shown or len(shown) > _LONGEST_TOKEN or not shown.isascii() or not shown.isprintable():
            raise Unidentified("What was shown as a bearer token is none.")
        peer = peer_of(request)
        # What is known takes no thread: a hop costs more than the answer.
        return self._tokens.known(shown, peer) or await self._threads.run(self._tokens.caller, shown, peer)


class AnyOf:
    """Several kinds of evidence, of which the first that a request shows counts.

    Parameters
    ----------
    *kinds : Evidence
        In the order in which they are asked.
    """

    def __init__(self, *kinds: Evidence) -> None:
        self._kinds = kinds

    async def caller(self, request: Request) -> Caller | None:
        """Give the caller of the first kind that is shown."""
        if len(request.headers.getlist("authorization")) > 1:
            raise Unidentified("Several Authorization fields were sent.")
        cookies = [name for name in (SESSION_COOKIE, SHARE_COOKIE) if name in request.cookies]
        if request.headers.get("authorization") is not None and cookies:
            raise Unidentified("A request showed a session and an Authorization field.")
        if len(cookies) > 1:
            raise Unidentified("A request showed the session of a person and a visit by a link.")
        for kind in self._kinds:
            caller = await kind.caller(request)
            if caller is not None:
                return caller
        return None


def credentials(request: Request, scheme: str) -> str | None:
    """Give what the Authorization field shows by a scheme (RFC 9110 11.4); None when it is of another or not there."""
    field = request.headers.get("authorization")
    if field is None:
        return None
    name, _, rest = field.partition(" ")
    return rest.strip(" ") if name.lower() == scheme else None


def peer_of(request: Request) -> str:
    """Give the address of who asks, as the gate found it out."""
    return str(request.scope["leadglass.peer"])


class Basic:
    """HTTP Basic (RFC 7617) for service tokens that the operator named: its name as user, the token as password.

    Parameters
    ----------
    tokens : TokenBook
        Who knows tokens.
    threads : Threads
        Where it is asked.
    accounts : frozenset of str
        Names of the tokens that may be shown so.
    is_service : callable
        Says whether the token of a name is one of the role service.
    """

    def __init__(
        self, tokens: TokenBook, threads: Threads, accounts: frozenset[str], is_service: Callable[[str], bool]
    ) -> None:
        self._tokens = tokens
        self._threads = threads
        self._accounts = accounts
        self._is_service = is_service

    async def caller(self, request: Request) -> Caller | None:
        """Give the caller of the token; None without one."""
        shown = credentials(request, "basic")
        if shown is None:
            return None
        return await self._threads.run(self._caller, shown, peer_of(request))

    def _caller(self, shown: str, peer: str) -> Caller:
        try:
            name, _, text = b64decode(shown[:_LONGEST_TOKEN], validate=True).decode("utf-8").partition(":")
        except ValueError:
            raise Unidentified("What was shown as Basic credentials are none.") from None
        if name not in self._accounts:
            raise Unidentified(
                "Basic credentials were shown for a name that [web] unsafe_basic_auth_accounts does not list. "
                "Use the token as a bearer token."
            )
        caller = self._tokens.caller(text, peer)
        if caller.name != name or not self._is_service(name):
            raise Unidentified(
                f"Basic credentials were shown as {name} with the token of {caller.name}. It has to be that "
                "name's own, and of the role service."
            )
        return caller
