"""ID tokens that somebody made up: none of them is believed."""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, JWKRegistry, Key, RSAKey

from leadglass.identity.oidc_claims import ALGORITHMS, SKEW, Expected, NotProven, UnknownKey, verify

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EXPECTED = Expected("https://op.example.test", "leadglass", "the nonce")
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})

Claims = dict[str, object]


def claims(**changed: object) -> Claims:
    now = NOW.timestamp()
    said: Claims = {
        "iss": EXPECTED.issuer,
        "aud": EXPECTED.client_id,
        "sub": "somebody",
        "iat": now,
        "exp": now + 300,
        "nonce": EXPECTED.nonce,
    }
    said |= changed
    return {name: value for name, value in said.items() if value is not None}


def signed(said: Claims, key: Key = KEY, algorithm: str = "RS256", **header: object) -> str:
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jws.serialize_compact({"alg": algorithm, "kid": "one", **header}, json.dumps(said), key, registry=registry)


def public(*keys: Key) -> list[Mapping[str, object]]:
    return [key.as_dict(private=False) for key in keys]


def refused(token: str, *keys: Key, expected: Expected = EXPECTED) -> str:
    with pytest.raises(NotProven) as error:
        verify(token, public(*keys or (KEY,)), expected, NOW)
    return error.value.message


def test_a_token_in_which_everything_is_right_is_believed() -> None:
    assert verify(signed(claims()), public(KEY), EXPECTED, NOW)["sub"] == "somebody"
    assert verify(signed(claims(aud=["x", "leadglass"], azp="leadglass")), public(OTHER, KEY), EXPECTED, NOW)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_that_counts_is_understood(algorithm: str) -> None:
    curve = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
    key: Key
    if algorithm in curve:
        key = ECKey.generate_key(curve[algorithm], {"kid": "one"})
    elif algorithm == "Ed25519":
        key = JWKRegistry.generate_key("OKP", "Ed25519", {"kid": "one"})
    else:
        key = KEY
    token = signed(claims(), key, algorithm)
    assert verify(token, public(key), EXPECTED, NOW)
    assert "signature" in refused(token[:-8] + "AAAAAAAA", key)


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://op.example.test/"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": ["leadglass", "another"]},
        {"aud": None},
        {"aud": {"leadglass": 1}},
        {"azp": "another"},
        {"exp": NOW.timestamp() - SKEW},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": float("inf")},
        {"iat": NOW.timestamp() + SKEW + 1},
        {"iat": NOW.timestamp() - 3_600},
        {"iat": None},
        {"nbf": NOW.timestamp() + SKEW + 1},
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": 1},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"sub": "x" * 256},
    ],
    ids=str,
)
def test_one_wrong_claim_is_enough(changed: Claims) -> None:
    assert refused(signed(claims(**changed)))


def test_a_signature_of_somebody_else_is_none() -> None:
    assert "signature" in refused(signed(claims(), OTHER))


def test_no_signature_is_none() -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one"}').rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=").decode()
    for token in (f"{header}.{body}.", f"{header}.{body}", f"{header}.{body}.AAAA"):
        assert refused(token)


def test_the_public_key_is_no_shared_secret() -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=").decode()
    mac = hmac.digest(KEY.as_pem(private=False), f"{header}.{body}".encode(), "sha256")
    assert "algorithm" in refused(f"{header}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}")


def test_a_short_key_signs_nothing() -> None:
    short = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - that is the point
    header = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"one"}').rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=").decode()
    signature = short.sign(f"{header}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    modulus = short.public_key().public_numbers().n.to_bytes(128)
    key = {"kty": "RSA", "kid": "one", "e": "AQAB", "n": base64.urlsafe_b64encode(modulus).rstrip(b"=").decode()}
    with pytest.raises(NotProven, match="signature"):
        verify(f"{header}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}", [key], EXPECTED, NOW)


def test_a_key_for_something_else_signs_nothing() -> None:
    token = signed(claims())
    for changed in ({"use": "enc"}, {"alg": "PS256"}, {"kid": "two"}, {"kty": "EC"}):
        with pytest.raises(UnknownKey):
            verify(token, [{**KEY.as_dict(private=False), **changed}], EXPECTED, NOW)


def test_a_key_set_full_of_rubbish_is_survived() -> None:
    rubbish: list[Mapping[str, object]] = [
        {"kty": "RSA", "kid": "one"},
        {"kty": "RSA", "kid": "one", "n": "AA", "e": 7},
        {"kty": "RSA", "kid": "one", "n": "AA", "e": "AA"},
        {"kty": ["RSA"], "kid": "one"},
    ]
    assert verify(signed(claims()), [*rubbish, *public(KEY)], EXPECTED, NOW)


def test_an_extension_that_must_be_understood_is_refused() -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"one","crit":["x"],"x":1}').rstrip(b"=").decode()
    assert "understood" in refused(f"{header}.e30.AAAA")


@given(st.text(max_size=200))
def test_any_text_is_refused_with_a_reason(text: str) -> None:
    assert refused(text)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_header_and_body_are_refused_with_a_reason(header: bytes, body: bytes) -> None:
    token = ".".join(base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in (header, body, b"signature"))
    assert refused(token)


def test_json_without_end_is_refused() -> None:
    deep = base64.urlsafe_b64encode(b'{"alg":' + b"[" * 20_000).decode().rstrip("=")
    assert refused(f"{deep}.e30.AAAA")
    assert refused("x" * 100_000)


def test_a_nonce_that_is_no_ascii_is_compared_all_the_same() -> None:
    assert refused(signed(claims(nonce="é")), expected=replace(EXPECTED, nonce="e"))
    assert refused(signed(claims(nonce="\ud800")))
