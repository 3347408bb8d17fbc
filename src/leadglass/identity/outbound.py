"""Outbound: short questions to somebody the operator named, over HTTPS.

Rule 1. HTTPS only, to a host whose certificate names it. Rule 2. Nothing of the
environment decides where a question goes: no proxy variables, no redirects.
Rule 3. An answer has a size and a time in which it has to be there, whatever the
other side does. Rule 4. What comes back is never shown to anybody.
"""

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Final, Self, cast
from urllib.parse import urlsplit

import httpx

from leadglass.errors import Busy, Misconfigured

Json = Mapping[str, object]

LONGEST: Final = 512 * 1024
"""Bytes of an answer: key sets and claims have some kB."""

PATIENCE: Final = 10.0
"""Seconds for one question, from the connection to the last byte."""


class Unusable(Busy):
    """The other side answered with what cannot be used. The message is for the log."""


class Outbound:
    """A client for a few questions. Safe for threads.

    Parameters
    ----------
    authority : Path, optional
        PEM file with the authorities that may vouch for the other side; by
        default those of the operating system.
    patience : float
        Seconds for one question.

    Raises
    ------
    Misconfigured
        When the authority cannot be read.
    """

    def __init__(self, authority: Path | None = None, *, patience: float = PATIENCE) -> None:
        try:
            context = ssl.create_default_context(cafile=None if authority is None else str(authority))
        except (OSError, ssl.SSLError) as error:
            raise Misconfigured(f"{authority} is not a PEM file with certificates of authorities.") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._patience = patience
        self._client = httpx.Client(
            verify=context,
            trust_env=False,
            follow_redirects=False,
            timeout=patience,
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=4),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "leadglass"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept."""
        self._client.close()

    def get(self, url: str, *, bearer: str = "") -> tuple[int, Json]:
        """Ask for a JSON object; raises as ``post``."""
        return self._ask("GET", url, headers={"Authorization": f"Bearer {bearer}"} if bearer else {})

    def post(self, url: str, form: Mapping[str, str], *, basic: tuple[str, str] | None = None) -> tuple[int, Json]:
        """Send a form and give the status and the JSON object of the answer.

        Raises
        ------
        Busy
            When nobody answers in time.
        Unusable
            When the answer is too large, or not a JSON object.
        """
        auth = None if basic is None else httpx.BasicAuth(*basic)
        return self._ask("POST", url, form=form, auth=auth)

    def _ask(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        auth: httpx.BasicAuth | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Json]:
        host = require_https(url)
        end = monotonic() + self._patience
        body = bytearray()
        try:
            with self._client.stream(method, url, data=form, auth=auth, headers=headers) as response:
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise Unusable(f"{host} sent an encoding that was not asked for.")
                for block in response.iter_raw():  # as it comes: the clock is looked at each time
                    body += block
                    if len(body) > LONGEST:
                        raise Unusable(f"{host} sent more than {LONGEST:,} bytes.")
                    if monotonic() > end:
                        raise Busy(f"{host} takes longer than {self._patience:.0f} s to answer.")
                status = response.status_code
        except httpx.TimeoutException as error:
            raise Busy(f"{host} takes longer than {self._patience:.0f} s to answer.") from error
        except httpx.HTTPError as error:
            raise Busy(f"{host} cannot be reached or is not trusted ({type(error).__name__}).") from error
        return status, _object(bytes(body), host)


def require_https(url: str) -> str:
    """Give the host of an address that may be asked.

    Raises
    ------
    Misconfigured
        When it is not a plain HTTPS address.
    """
    try:
        parts = urlsplit(url)
        is_plain = parts.scheme == "https" and bool(parts.hostname) and not parts.username and not parts.fragment
        _ = parts.port  # raises when it is none
    except ValueError:
        is_plain = False
        parts = urlsplit("")
    if not is_plain or not url.isascii() or not url.isprintable() or " " in url:
        raise Misconfigured("An address to ask has to begin with https:// and name a host, without user or fragment.")
    return str(parts.hostname)


def _object(body: bytes, host: str) -> Json:
    try:
        read = cast(object, json.loads(body))
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{host} did not answer with JSON.") from error
    if not isinstance(read, dict):
        raise Unusable(f"{host} did not answer with a JSON object.")
    return cast(Json, read)


def text_of(answer: Json, name: str, most: int = 2_048) -> str:
    """Give a text of an answer; empty when it is not there, not a text or too long."""
    value = answer.get(name)
    return value if isinstance(value, str) and len(value) <= most else ""


def words_of(answer: Json, name: str) -> tuple[str, ...]:
    """Give a list of texts of an answer; a single text counts as a list of one."""
    value = answer.get(name)
    if isinstance(value, str):
        return (value,)
    return tuple(each for each in cast(list[object], value) if isinstance(each, str)) if isinstance(value, list) else ()
