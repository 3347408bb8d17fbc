"""ID tokens: what an OpenID provider says of somebody, believed only when everything about it is right.

Rule 1. The signature is of a key the provider publishes, by an algorithm with two
keys; ``none`` and shared secrets are no signature. Rule 2. It was said by this
provider, to us, now, in answer to our question (OpenID Connect Core 3.1.3.7).
Rule 3. Whatever is not as it should be ends in one kind of refusal, with the
reason for the log.
"""

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from leadglass.errors import Denied

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
"""Signatures that count. ``EdDSA`` is not among them: RFC 9864 deprecates it for ``Ed25519``."""

SKEW: Final = 60.0
"""Seconds by which the provider's clock and ours may differ."""

OLDEST: Final = 600.0
"""Seconds since an ID token was made: it comes straight from the provider."""

LONGEST: Final = 64 * 1024
"""Characters of an ID token: somebody in a thousand groups has a large one."""

_KTY: Final = {"R": "RSA", "P": "RSA", "E": "EC"}
_LEAST_RSA: Final = 2_048


class NotProven(Denied):
    """What the provider's answer proves is nothing. The message is for the log, never for who asked."""


class UnknownKey(NotProven):
    """It is signed with a key that is not among those we know: they may have changed."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token has to say.

    Parameters
    ----------
    issuer, client_id, nonce : str
        Who says it, to whom, in answer to what.
    algorithms : sequence of str
        Signatures that the provider says it makes, of ``ALGORITHMS``.
    """

    issuer: str
    client_id: str
    nonce: str
    algorithms: Sequence[str] = ALGORITHMS


def verify(token: str, keys: Sequence[Mapping[str, object]], expected: Expected, now: datetime) -> Mapping[str, object]:
    """Give the claims of an ID token.

    Parameters
    ----------
    token : str
        The ID token (JWS compact serialization).
    keys : sequence of mappings
        The provider's key set (JWK).
    expected : Expected
        What it has to say.
    now : datetime
        The time it is.

    Raises
    ------
    UnknownKey
        When none of the keys is the one that is named.
    NotProven
        For every other reason.
    """
    if len(token) > LONGEST or not token.isascii():
        raise NotProven("The ID token is too long, or no text at all.")
    header = _part(token, 0)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS or algorithm not in expected.algorithms:
        raise NotProven("The ID token is signed by an algorithm that does not count.")
    if "crit" in header or "b64" in header:
        raise NotProven("The ID token wants something understood that is not.")
    fitting = _fitting(keys, header.get("kid"), algorithm)
    if not fitting:
        raise UnknownKey("The ID token is signed with a key that the provider does not publish.")
    for key in fitting:
        if _is_signed(token, key, algorithm):
            claims = _part(token, 1)
            _check(claims, expected, now.timestamp())
            return claims
    raise NotProven("The signature of the ID token is wrong.")


def _part(token: str, at: int) -> Mapping[str, object]:
    parts = token.split(".")
    if len(parts) != 3:
        raise NotProven("The ID token cannot be read.")
    try:
        octets = base64.urlsafe_b64decode(parts[at] + "=" * (-len(parts[at]) % 4))
        read = cast(object, json.loads(octets))
    except (ValueError, RecursionError):
        raise NotProven("The ID token cannot be read.") from None
    if not isinstance(read, dict):
        raise NotProven("The ID token cannot be read.")
    return cast(Mapping[str, object], read)


def _fitting(keys: Sequence[Mapping[str, object]], kid: object, algorithm: str) -> list[Mapping[str, object]]:
    """Give the keys that may have signed: of the name, if one is said; for signatures; of the algorithm's kind."""
    kind = "OKP" if algorithm == "Ed25519" else _KTY[algorithm[0]]
    return [
        key
        for key in keys
        if key.get("kty") == kind
        and (kid is None or key.get("kid") == kid)
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    ]


def _is_signed(token: str, key: Mapping[str, object], algorithm: str) -> bool:
    modulus = key.get("n")
    if key.get("kty") == "RSA" and (not isinstance(modulus, str) or len(modulus) * 6 < _LEAST_RSA):
        return False
    try:
        public = JWKRegistry.import_key({name: value for name, value in key.items() if isinstance(value, str)})
        if not isinstance(public, (RSAKey, ECKey, OKPKey)):
            return False
        jws.deserialize_compact(token, public, registry=_registry(algorithm))
    except (JoseError, ValueError, TypeError, KeyError):
        return False
    return True


def _registry(algorithm: str) -> jws.JWSRegistry:
    """Give the library's limits: providers put fields of their own into the header, and long key names."""
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = 4_096
    return registry


def _check(claims: Mapping[str, object], expected: Expected, now: float) -> None:
    if claims.get("iss") != expected.issuer:
        raise NotProven("The ID token names another issuer.")
    audience = claims.get("aud")
    listed = [audience] if isinstance(audience, str) else audience
    if not isinstance(listed, list) or expected.client_id not in cast(list[object], listed):
        raise NotProven("The ID token is for another client.")
    if claims.get("azp", expected.client_id) != expected.client_id or (
        len(cast(list[object], listed)) > 1 and "azp" not in claims
    ):
        raise NotProven("The ID token was made for another client.")
    until, made = _number(claims, "exp"), _number(claims, "iat")
    if until <= now - SKEW:
        raise NotProven("The ID token has expired.")
    if made > now + SKEW or made < now - OLDEST - SKEW or _number(claims, "nbf", now) > now + SKEW:
        raise NotProven("The ID token is not of now: compare the clocks.")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(_octets(nonce), _octets(expected.nonce)):
        raise NotProven("The ID token answers another question.")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise NotProven("The ID token names nobody.")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # JSON may hold half a character


def _number(claims: Mapping[str, object], name: str, default: float | None = None) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e15 < value < 1e15:
        raise NotProven(f"The ID token has no {name} that is a time.")
    return float(value)
