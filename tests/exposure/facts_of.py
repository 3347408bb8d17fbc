"""Facts of an archive where all is well, and pieces to make it worse with."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address, ip_network

from leadglass.config import Config
from leadglass.exposure.facts import (
    Account,
    Enrolled,
    Facts,
    Handshake,
    KeyPlace,
    Machine,
    Marked,
    Opened,
    Reach,
    Running,
    Secured,
    ShownCertificate,
    Storage,
    Trail,
)
from leadglass.identity.device import Device
from leadglass.identity.person import Person
from leadglass.identity.tokens import Token
from leadglass.policy.action import Action
from leadglass.policy.roles import Role
from leadglass.policy.scope import Field, Scope
from leadglass.sections import Web

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ONE_ADDRESS = (ip_network("10.1.2.3/32"),)


def days(count: float) -> timedelta:
    return timedelta(days=count)


def device(
    ae_title: str = "CT1",
    *,
    allow: frozenset[Action] = frozenset({Action.STORE}),
    addresses: tuple[str, ...] = ("10.1.2.3/32",),
    until: date | None = None,
    certificate: float | None = 300,
    bulk: str = "",
    bulk_until: date | None = None,
) -> Device:
    """Make a device; with ``until`` it has a plaintext lane, ``certificate`` says for how many days it has one."""
    return Device(
        ae_title=ae_title,
        addresses=tuple(ip_network(each) for each in addresses),
        allow=allow,
        plaintext=until is not None,
        until=until,
        fingerprint="" if certificate is None else "ab" * 32,
        certificate_until=None if certificate is None else NOW + days(certificate),
        bulk=bulk,
        bulk_until=bulk_until,
    )


def here(made: Device, last: float | None = 1, enrolled: float | None = 60) -> Enrolled:
    """Say when a device was last here, and since when it is enrolled; days ago."""
    return Enrolled(
        made,
        None if last is None else NOW - days(last),
        None if enrolled is None else NOW - days(enrolled),
    )


def account(
    name: str = "j.doe",
    role: Role = Role.RADIOLOGIST,
    *,
    made: float = 200,
    seen: float | None = 1,
    password: bool = True,
    totp: bool = True,
    passkeys: int = 0,
    locked: bool = False,
    origin: str = "",
) -> Account:
    """Make an account; ``made`` and ``seen`` are days ago."""
    person = Person(
        name, role, Scope.everything(), NOW - days(made), is_locked=locked, origin=origin, has_password=password,
        has_totp=totp,
    )  # fmt: skip
    return Account(person, None if seen is None else NOW - days(seen), passkeys)


def token(
    name: str = "viewer",
    role: Role = Role.SERVICE,
    *,
    scope: Scope | None = None,
    made: float = 1,
    until: float = 20,
    used: float | None = 0.1,
    ended: bool = False,
    bulk: str = "",
) -> Token:
    """Make a token; ``made`` and ``used`` are days ago, ``until`` days ahead."""
    return Token(
        id=name, name=name, role=role, scope=scope, made=NOW - days(made), made_by="cli:root",
        until=NOW + days(until), ended=NOW if ended else None, used=None if used is None else NOW - days(used),
        bulk=bulk,
    )  # fmt: skip


NARROW = Scope.where(Field.LABEL, "north")


def certificate(
    *,
    until: float = 300,
    since: float = 30,
    key: str = "EC",
    bits: int = 256,
    signed_with: str = "sha256",
    is_ours: bool = True,
    names: tuple[str, ...] = ("pacs.example.org", "10.1.2.9"),
) -> ShownCertificate:
    """Make a certificate; ``since`` is days ago, ``until`` days ahead."""
    return ShownCertificate(
        "CN=x", "CN=y", names, NOW - days(since), NOW + days(until), key, bits, signed_with, is_ours
    )


GOOD = (
    Handshake("TLS 1.3", "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
    Handshake("TLS 1.2 with ECDHE and AES-GCM", "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
)
WEAK = (Handshake("TLS 1.2 with CBC ciphers"),)
BEST = Handshake("everything", "TLSv1.3", "TLS_AES_256_GCM_SHA384")


def secured(door: str = "https", shown: ShownCertificate | None = None, *, fault: str = "") -> Secured:
    """Make a door with TLS that is as it should be."""
    return Secured(
        door=door,
        preferred=BEST,
        good=GOOD,
        weak=WEAK,
        certificate=shown or certificate(),
        wants_client_certificate=door == "dicom-tls",
        fault=fault,
        reached_as=("pacs.example.org",) if door == "https" else (),
    )


def config(**sections: object) -> Config:
    """Make settings: those of the healthy archive, with sections in the place of theirs."""
    said = Config(web=Web(address="https://pacs.example.org", names=("pacs.example.org",)))
    return replace(said, **sections)  # type: ignore[arg-type]


HEALTHY = Facts(
    now=NOW,
    config=config(),
    settings="s",
    running=Running(NOW - days(3), "1.0", "s"),
    doors=(
        Opened("https", "10.1.2.9:443", Reach.LOCAL),
        Opened("dicom-tls", "10.1.2.9:2762", Reach.LOCAL),
    ),
    own_addresses=(ip_address("127.0.0.1"), ip_address("10.1.2.9")),
    secured=(secured("https"), secured("dicom-tls")),
    authority_until=NOW + days(3_000),
    devices=(here(device()),),
    accounts=(account("a.one", Role.ADMIN), account("a.two", Role.ADMIN), account()),
    tokens=(token(scope=NARROW),),
    storage=Storage(studies=10, instances=1_000, octets=10**9),
    trail=Trail(
        records=500,
        signed=NOW - days(0.01),
        verified=Marked(NOW - days(3)),
        checked=Marked(NOW - days(3)),
    ),
    key=KeyPlace("credential", "the service manager"),
    machine=Machine("1.0", NOW - days(20), newest_record=NOW),
    backup=NOW - days(0.5),
    since=NOW - days(100),
)
"""An archive of which nothing is to be said."""
