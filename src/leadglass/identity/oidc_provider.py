"""The OpenID provider as a peer: what it says of itself, its keys, and what it gives for a code.

Rule 1. What it says of itself counts only when it names the issuer the operator
named (OpenID Connect Discovery 4.3). Rule 2. A provider that does not answer holds
up few threads, and is not asked again at once. Rule 3. Keys that changed are fetched
anew, at most once in a while, whoever sends tokens signed with unknown ones.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock
from time import monotonic
from typing import Final, Generic, TypeVar, cast
from urllib.parse import quote, urlencode

from leadglass.errors import Busy, LeadglassError, Misconfigured
from leadglass.identity.oidc_claims import ALGORITHMS, NotProven
from leadglass.identity.oidc_mapping import RoleMapping
from leadglass.identity.outbound import Json, Outbound, Unusable, require_https, text_of, words_of

T = TypeVar("T")

KEEP: Final = 3_600.0
"""Seconds for which what the provider says of itself, and its keys, are kept."""

AGAIN: Final = 30.0
"""Seconds between two fetches of its keys because of one that is not known."""

REST: Final = 5.0
"""Seconds for which a provider that did not answer is left alone."""

_AT_ONCE: Final = 4
"""Questions of sign-ins at one time: a provider that hangs must not hold the archive's threads."""

_MOST_KEYS: Final = 64


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """What the operator said of the provider.

    Parameters
    ----------
    issuer : str
        Its name, exactly as it says it itself.
    client_id : str
        Ours there.
    client_secret : str
        What proves it; empty: a public client, which PKCE alone protects.
    redirect_uri : str
        Where the provider sends people back to.
    scopes : tuple of str
        What is asked for besides ``openid``.
    name_claim, groups_claim : str
        Which claims say what somebody is called, and in which groups; with dots
        between the names of nested ones.
    groups : Mapping
        Which groups are which roles.
    """

    issuer: str
    client_id: str
    redirect_uri: str
    client_secret: str = field(default="", repr=False)
    scopes: tuple[str, ...] = ("profile",)
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    groups: RoleMapping = field(default_factory=RoleMapping)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the provider says of itself, as far as it is used."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    algorithms: tuple[str, ...]
    says_issuer: bool
    takes_basic: bool


@dataclass(frozen=True, slots=True, repr=False)
class Exchanged:
    """What was given for a code."""

    id_token: str
    access_token: str


@dataclass(slots=True)
class _Kept(Generic[T]):
    """Something fetched, and when it is to be fetched again."""

    value: T | None = None
    until: float = float("-inf")
    tried: float = float("-inf")
    failed: bool = False
    lock: Lock = field(default_factory=Lock)


class Provider:
    """One OpenID provider. Safe for threads; blocks for some seconds at most.

    Parameters
    ----------
    settings : OidcSettings
        What the operator said of it.
    outbound : Outbound
        What asks it.
    clock : callable
        Monotonic seconds.

    Raises
    ------
    Misconfigured
        When the settings cannot work.
    """

    def __init__(self, settings: OidcSettings, outbound: Outbound, *, clock: Callable[[], float] = monotonic) -> None:
        require_https(settings.issuer)
        if "?" in settings.issuer or not settings.client_id:
            raise Misconfigured("[oidc] needs the provider's issuer, without a query, and client_id in leadglass.toml.")
        self._settings = settings
        self._outbound = outbound
        self._clock = clock
        self._metadata = _Kept[Metadata]()
        self._keys = _Kept[tuple[Json, ...]]()
        self._places = BoundedSemaphore(_AT_ONCE)

    def metadata(self) -> Metadata:
        """Give what the provider says of itself.

        Raises
        ------
        Busy
            When it is not reached, or says what cannot be used.
        """
        return self._kept(self._metadata, self._fetch_metadata, "what it says of itself")

    def keys(self, *, anew: bool = False) -> Sequence[Json]:
        """Give its public keys.

        Parameters
        ----------
        anew : bool
            Whether a key that is not among those known is looked for.

        Raises
        ------
        Busy
        """
        if anew and self._clock() - self._keys.tried >= AGAIN:
            self._keys.until = float("-inf")
        return self._kept(self._keys, self._fetch_keys, "its keys")

    def authorization_url(self, *, state: str, nonce: str, challenge: str) -> str:
        """Give where somebody goes to sign in (OpenID Connect Core 3.1.2.1, RFC 7636 4.3)."""
        said = self._settings
        endpoint = self.metadata().authorization_endpoint
        query = urlencode(
            {
                "response_type": "code",
                "response_mode": "query",
                "client_id": said.client_id,
                "redirect_uri": said.redirect_uri,
                "scope": " ".join(dict.fromkeys(("openid", *said.scopes))),
                "state": state,
                "nonce": nonce,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        )
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    def exchange(self, code: str, verifier: str) -> Exchanged:
        """Give the tokens for a code.

        Raises
        ------
        NotProven
            When the provider does not take the code.
        Busy
        """
        said, metadata = self._settings, self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": said.redirect_uri,
            "code_verifier": verifier,
        }
        basic: tuple[str, str] | None = None
        if said.client_secret and metadata.takes_basic:
            basic = (quote(said.client_id, safe=""), quote(said.client_secret, safe=""))  # RFC 6749 2.3.1
        else:
            form["client_id"] = said.client_id
            if said.client_secret:
                form["client_secret"] = said.client_secret
        with self._place():
            status, answer = self._outbound.post(metadata.token_endpoint, form, basic=basic)
        if status != 200:
            word = text_of(answer, "error", 64) or f"status {status}"
            raise NotProven(f"The provider did not take the code: {_plain(word)}.")
        id_token = text_of(answer, "id_token", 64 * 1024)
        if not id_token:
            raise NotProven("The provider gave no ID token. Does its client have the scope openid?")
        return Exchanged(id_token, text_of(answer, "access_token", 64 * 1024))

    def userinfo(self, access_token: str, subject: str) -> Json:
        """Give more claims of somebody; none when the provider has no such endpoint.

        Raises
        ------
        NotProven
            When they are somebody else's (OpenID Connect Core 5.3.4).
        Busy
        """
        endpoint = self.metadata().userinfo_endpoint
        if not endpoint or not access_token:
            return {}
        with self._place():
            status, answer = self._outbound.get(endpoint, bearer=access_token)
        if status != 200:
            raise Unusable(f"The provider's userinfo endpoint answers with status {status}.")
        if answer.get("sub") != subject:
            raise NotProven("The provider's userinfo endpoint speaks of somebody else.")
        return answer

    # --- within -----------------------------------------------------------------

    @contextmanager
    def _place(self) -> Generator[None]:
        if not self._places.acquire(timeout=1.0):
            raise Busy("Many are signing in at this moment. Try again.")
        try:
            yield
        finally:
            self._places.release()

    def _kept(self, kept: "_Kept[T]", fetch: Callable[[], T], what: str) -> T:
        """Give something kept, or fetch it: one thread at a time, and not at once again when that failed."""
        now = self._clock()
        value = kept.value
        if value is not None and now < kept.until:
            return value
        if not kept.lock.acquire(timeout=2.0):
            raise Busy(f"The sign-in provider is being asked for {what}. Try again.")
        try:
            now = self._clock()
            if kept.value is not None and now < kept.until:
                return kept.value
            if kept.failed and now - kept.tried < REST:
                raise Busy("The sign-in provider cannot be reached at this moment. Try again.")
            kept.tried, kept.failed = now, True
            kept.value = value = fetch()
            kept.until, kept.failed = self._clock() + KEEP, False
        finally:
            kept.lock.release()
        return value

    def _fetch_metadata(self) -> Metadata:
        issuer = self._settings.issuer
        status, said = self._outbound.get(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if status != 200:
            raise Unusable(f"{issuer} does not say what it is (status {status}). Is [oidc] issuer right?")
        if said.get("issuer") != issuer:
            raise Unusable("The provider calls itself by another name than [oidc] issuer in leadglass.toml.")
        methods = words_of(said, "code_challenge_methods_supported")
        if methods and "S256" not in methods:
            raise Unusable("The provider cannot do PKCE with S256.")
        algorithms = words_of(said, "id_token_signing_alg_values_supported") or ("RS256",)
        return Metadata(
            authorization_endpoint=_endpoint(said, "authorization_endpoint"),
            token_endpoint=_endpoint(said, "token_endpoint"),
            jwks_uri=_endpoint(said, "jwks_uri"),
            userinfo_endpoint=_endpoint(said, "userinfo_endpoint") if "userinfo_endpoint" in said else "",
            algorithms=tuple(each for each in algorithms if each in ALGORITHMS),
            says_issuer=said.get("authorization_response_iss_parameter_supported") is True,
            takes_basic="client_secret_basic"
            in (words_of(said, "token_endpoint_auth_methods_supported") or ("client_secret_basic",)),
        )

    def _fetch_keys(self) -> tuple[Json, ...]:
        status, said = self._outbound.get(self.metadata().jwks_uri)
        keys = said.get("keys")
        if status != 200 or not isinstance(keys, list):
            raise Unusable(f"The provider does not give its keys (status {status}).")
        listed = cast(list[object], keys)[:_MOST_KEYS]
        return tuple(cast(Mapping[str, object], key) for key in listed if isinstance(key, dict))


def _endpoint(said: Json, name: str) -> str:
    url = text_of(said, name)
    try:
        require_https(url)
    except LeadglassError as error:
        raise Unusable(f"The provider's {name} is not an https address.") from error
    return url


def _plain(word: str) -> str:
    return "".join(each for each in word if each.isascii() and (each.isalnum() or each in "_- "))
