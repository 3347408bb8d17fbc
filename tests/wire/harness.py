"""A server of ours in a thread of its own, so that tests and other makers' programs can talk to it.

Rule: a server that printed a traceback, lost an exception or logged an error fails its test, whatever else happened.
"""

import asyncio
import datetime as dt
import logging
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from leadglass.wire.association import (
    Acceptance,
    AssociateRequest,
    Message,
    Peer,
    Refusal,
    Rejection,
    Role,
    ServerAssociation,
)
from leadglass.wire.limits import WireLimits
from leadglass.wire.messages import CCancelRq, CEchoRq, CFindRq, CGetRq, CMoveRq, CStoreRq
from leadglass.wire.server import DicomServer
from tests.peers.running import Credentials

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
Address = IPv4Address | IPv6Address
T = TypeVar("T")

SHORT = WireLimits(
    tls_handshake=0.6,
    artim=0.6,
    linger=0.3,
    idle=0.6,
    progress_window=0.4,
    progress_bytes=2000,
    write_stall=0.6,
    response=2.0,
    release=0.6,
    connect=2.0,
)
"""The same limits with less patience."""

Answer = Callable[[ServerAssociation, Message], Awaitable[None]]


async def swallow(association: ServerAssociation, message: Message) -> None:
    """Answer success to what stores and echoes, reading everything."""
    await message.discard()
    command = message.command
    assert isinstance(command, CEchoRq | CStoreRq | CFindRq | CGetRq | CMoveRq)
    await association.send(message.context.id, command.response(0))


@dataclass
class Recorder:
    """A handler and its sessions, writing down what they are told."""

    answer: Answer = swallow
    refuse: Callable[[Address], str | None] = lambda _: None
    decide: Callable[[Peer, AssociateRequest], Acceptance | Rejection] | None = None
    connected: list[Address] = field(default_factory=list[Address])
    failed: list[tuple[Peer, str]] = field(default_factory=list[tuple[Peer, str]])
    requested: list[tuple[Peer, AssociateRequest]] = field(default_factory=list[tuple[Peer, AssociateRequest]])
    messages: list[Message] = field(default_factory=list[Message])
    begun_with: list[ServerAssociation] = field(default_factory=list[ServerAssociation])
    ends: list[str] = field(default_factory=list[str])
    changed: threading.Condition = field(default_factory=threading.Condition)

    async def peer_connected(self, address: Address) -> str | None:
        with self.changed:
            self.connected.append(address)
            self.changed.notify_all()
        return self.refuse(address)

    async def connection_failed(self, peer: Peer, reason: str) -> None:
        with self.changed:
            self.failed.append((peer, reason))
            self.changed.notify_all()

    async def association_requested(
        self, peer: Peer, request: AssociateRequest
    ) -> "tuple[Acceptance, Recorder] | Rejection":
        with self.changed:
            self.requested.append((peer, request))
            self.changed.notify_all()
        decision = accept_everything(request) if self.decide is None else self.decide(peer, request)
        return decision if isinstance(decision, Rejection) else (decision, self)

    async def begun(self, association: ServerAssociation) -> None:
        with self.changed:
            self.begun_with.append(association)
            self.changed.notify_all()

    async def message(self, association: ServerAssociation, message: Message) -> None:
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()
        assert not isinstance(message.command, CCancelRq)
        await self.answer(association, message)

    async def ended(self, how: str) -> None:
        with self.changed:
            self.ends.append(how)
            self.changed.notify_all()

    def reasons(self, count: int = 1) -> list[str]:
        """Wait for ``count`` failures and give their reasons."""
        self.wait(lambda: len(self.failed) >= count)
        return [reason for _, reason in self.failed]

    def end(self) -> str:
        """Wait for the first end of a session."""
        self.wait(lambda: bool(self.ends))
        return self.ends[0]

    def wait(self, happens: Callable[[], bool], seconds: float = 30.0) -> None:
        with self.changed:
            assert self.changed.wait_for(happens, seconds), (self.failed, self.ends)


def accept_everything(request: AssociateRequest) -> Acceptance:
    return Acceptance(
        contexts={context.id: context.transfer_syntaxes[0] for context in request.contexts},
        roles=request.roles,
        extended=request.extended,
        async_ops=(1, 1),
    )


def accept_only(*abstract_syntaxes: str) -> Callable[[Peer, AssociateRequest], Acceptance]:
    def decide(_: Peer, request: AssociateRequest) -> Acceptance:
        return Acceptance(
            contexts={
                context.id: context.transfer_syntaxes[0]
                if context.abstract_syntax in abstract_syntaxes
                else Refusal.USER_REJECTION
                for context in request.contexts
            },
            roles={uid: Role(role.scu, role.scp) for uid, role in request.roles.items()},
        )

    return decide


class _Faults(logging.Handler):
    """Collects what nobody should ever have to read."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.faults.append(f"{record.name}: {record.getMessage()}")


@contextmanager
def no_faults(expected: str | None = None) -> Generator[None]:
    """Fail when asyncio or the wire complained meanwhile; ``expected`` is the one complaint that has to come."""
    faults = _Faults()
    loggers = [logging.getLogger("asyncio"), logging.getLogger("leadglass.wire")]
    for logger in loggers:
        logger.addHandler(faults)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(faults)
    if expected is None:
        assert faults.faults == []
    else:
        assert faults.faults
        assert all(expected in fault for fault in faults.faults), faults.faults


@dataclass
class Served:
    """A server that runs."""

    port: int
    server: DicomServer
    loop: asyncio.AbstractEventLoop

    def close(self, grace: float) -> None:
        """Close the server and wait until it is."""
        asyncio.run_coroutine_threadsafe(self.server.close(grace), self.loop).result(30)


@contextmanager
def serving(
    recorder: Recorder,
    limits: WireLimits | None = None,
    tls: ssl.SSLContext | None = None,
    *,
    expected_fault: str | None = None,
) -> Generator[Served]:
    """Run a server on a free port of the loopback for the length of the block."""
    with no_faults(expected_fault):
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="server", daemon=True)
        thread.start()
        server = DicomServer(recorder, limits)
        try:
            _, port = asyncio.run_coroutine_threadsafe(server.listen("127.0.0.1", 0, tls), loop).result(10)
            yield Served(port, server, loop)
        finally:
            asyncio.run_coroutine_threadsafe(server.close(0), loop).result(30)
            left = server.connections + server.associations
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()
        assert left == 0


def running(scene: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as the main program and fail on whatever it left behind."""
    with no_faults():
        return asyncio.run(scene)


# --- certificates -------------------------------------------------------------


class Authority:
    """A certificate authority for one test, with what it issues in folders as DCMTK wants them."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / name
        self._folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self._name, self._key, authority=True)

    def issue(self, name: str) -> Credentials:
        """Give a key and certificate for a device or a server on the loopback."""
        folder = self._folder / name
        folder.mkdir()
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, authority=False)
        (folder / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "ca.pem").write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return Credentials(folder)

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if not authority:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]),
                critical=False,
            ).add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
        else:
            builder = builder.add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=True,
                    crl_sign=True,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        return builder.sign(self._key, hashes.SHA256())


def server_context(credentials: Credentials) -> ssl.SSLContext:
    """Show a certificate and demand one of the same authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(credentials.certificate, credentials.key)
    context.load_verify_locations(credentials.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(credentials: Credentials | None, authority: Path) -> ssl.SSLContext:
    """Trust an authority and, when there are credentials, show them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority)
    if credentials is not None:
        context.load_cert_chain(credentials.certificate, credentials.key)
    return context
