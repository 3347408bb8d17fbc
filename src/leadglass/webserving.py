"""The web door's parts, made and joined; with ``serving`` the composition root.

Rule: it is loaded only when the web door is opened, so that nobody else waits for
Starlette and uvicorn.
"""

import os
import re
import socket
import ssl
from collections.abc import Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Final

from leadglass.archive.archive import Archive
from leadglass.audit.event import Outcome
from leadglass.config import Config
from leadglass.crypto import keyfile, tls
from leadglass.crypto.sources import CREDENTIALS
from leadglass.dicom.renderer import Renderer
from leadglass.dicom.transcode import Transcoder
from leadglass.doors.assembly import assemble
from leadglass.doors.cli.application import Ready
from leadglass.doors.dicomweb.webhooks import LEAST_SECRET, HookPace, Webhooks, receivers_of
from leadglass.doors.dimse.probe import Prober
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.devices.desk import DevicesDesk, OpenDoor
from leadglass.doors.pages.devices.trials import Trials
from leadglass.doors.pages.federation import single_sign_on
from leadglass.doors.pages.federation.desk import FederationDesk
from leadglass.doors.pages.people.desk import Entrance, PeopleDesk
from leadglass.doors.pages.sharing.desk import SharingDesk
from leadglass.doors.threads import Pool, Threads
from leadglass.doors.web.cookie import SessionCookie
from leadglass.doors.web.evidence import SHARE_COOKIE, Basic, Bearer, Evidence
from leadglass.doors.web.routes import Services
from leadglass.doors.web.server import HttpsServer
from leadglass.doors.web.settings import WebLimits, WebSettings
from leadglass.errors import LeadglassError, Misconfigured
from leadglass.followup import FollowUp
from leadglass.identity.contacts import Contacts
from leadglass.identity.introspection import Bearers, Introspection, IntrospectionSettings
from leadglass.identity.oidc import SignOn
from leadglass.identity.oidc_mapping import RoleMapping
from leadglass.identity.oidc_provider import OidcSettings, Provider
from leadglass.identity.outbound import Outbound
from leadglass.identity.own_tokens import Bearable
from leadglass.identity.passkeys import PASSKEYS_FILE, Passkeys
from leadglass.identity.peers import IpAddress
from leadglass.identity.relying_party import RelyingParty, is_bare, public_origin
from leadglass.identity.share_visits import PeopleWhoShare, Visits
from leadglass.identity.tokens import Tokens
from leadglass.identity.visitors import Visitors, Why
from leadglass.identity.webhooks import caller_of_receiver
from leadglass.lookout import Lookout
from leadglass.parts import Parts, shares_of, web_certificate
from leadglass.policy.roles import Role
from leadglass.startup import Door, own_addresses, parse_endpoint

_SIGNING_IN: Final = 24
"""Threads in which passwords are hashed, two at a time; the others wait, and take no thread from who is in."""

_OPENING: Final = 4
"""Threads in which share links are opened, likewise: each waits for its record."""

_SIGNING_ON: Final = 6
"""Threads in which providers of sign-in are asked, likewise: one that hangs holds up who signs in by it."""


class _Reception:
    """Tells ``Visitors`` of connections, in threads of their own."""

    def __init__(self, visitors: Visitors, clerk: Threads) -> None:
        self._visitors = visitors
        self._clerk = clerk

    def may_speak(self, address: IpAddress) -> bool:
        """Say whether a connection may go on to TLS."""
        return self._visitors.may_speak(address)

    async def refuse_peer(self, address: IpAddress) -> None:
        """Put on record that one was closed before."""
        await self._clerk.run(self._visitors.refuse_peer, address)

    async def connection_failed(self, address: IpAddress, reason: str) -> None:
        """Put a connection that came to nothing on record; what cannot be written is counted until it can."""
        try:
            await self._clerk.run(self._visitors.connection_failed, address, reason)
        except LeadglassError:
            return


def identities(parts: Parts) -> int:
    """Count who could be let in by the web: people, tokens, providers of sign-in."""
    tokens = parts.open_tokens()
    now = tokens.now
    people = parts.open_people("web").people
    oidc, others = parts.config.oidc, parts.config.introspection
    vouching = bool(oidc.issuer and oidc.groups) + bool(others.endpoint and others.scopes)
    known = sum(token.counts(now) for token in tokens.list()) + sum(not person.is_locked for person in people.list())
    return known + vouching


def make(
    parts: Parts,
    *,
    archive: Archive,
    pages: Archive,
    threads: Threads,
    desk: Threads,
    clerk: Threads,
    transcoder: Transcoder,
    renderer: Renderer,
    visitors: Visitors,
    hosts: frozenset[str],
    devices_desk: DevicesDesk,
    lookout: Lookout,
) -> HttpsServer:
    """Make the web door's server.

    Parameters
    ----------
    parts : Parts
        What every command needs.
    archive : Archive
        That of the door ``dicomweb``.
    pages : Archive
        That of the door ``pages``.
    threads, desk, clerk : Threads
        For work, for finding out who asks, for putting on record who was turned away.
    transcoder : Transcoder
        Shared with the other doors.
    renderer : Renderer
        Makes pictures.
    visitors : Visitors
        Who may speak.
    hosts : frozenset of str
        Names and addresses that the door listens on.
    devices_desk : DevicesDesk
        What the pages of devices work with.
    lookout : Lookout
        The self-check.
    """
    settings = _settings(parts.config, hosts)
    federation = _federation(parts, visitors)
    people = federation.people
    sharing = _sharing(parts, visitors)
    services = Services(
        archive=archive,
        threads=threads,
        transcoder=transcoder,
        renderer=renderer,
        settings=settings,
        people=people,
        federation=federation,
        pages=PagesDesk(
            archive=pages,
            threads=threads,
            config=parts.config,
            folder=parts.folder.path,
            devices=parts.devices,
            devices_desk=devices_desk,
            tokens=parts.open_tokens(),
            own_tokens=parts.open_own_tokens("web"),
            audit=parts.audit,
            sharing=sharing,
            system=lookout.desk,
            survey=_survey(parts),
        ),
    )
    evidence = _evidence(parts, settings, desk, visitors, sharing.visits)
    gate = assemble(services, evidence, visitors, clerk, lookout.strangers)
    return HttpsServer(gate, _Reception(visitors, clerk), settings.limits, settings.trusted_proxies)


def _survey(parts: Parts) -> FollowUp:
    """Make what the pages of the survey work with."""
    said, folder = parts.config.survey, parts.folder.path
    return FollowUp(
        folder / Path(said.scope).expanduser() if said.scope else None,
        parts.audit.append,
        door="pages",
        version=version("leadglass"),
        geo=[folder / Path(each).expanduser() for each in said.geo],
    )


def devices_desk(
    parts: Parts,
    ae_title: str,
    client: ssl.SSLContext | None,
    contacts: Contacts,
    threads: Threads,
    opened: Sequence[Ready],
) -> DevicesDesk:
    """Make what the pages of devices work with; ``opened`` is filled when the doors are open."""

    def doors() -> list[OpenDoor]:
        endpoints = ((ready.door == Door.DICOM_TLS, parse_endpoint(ready.address)) for ready in opened
                     if ready.door != Door.HTTPS)  # fmt: skip
        return [OpenDoor(secured, endpoint.host, endpoint.port) for secured, endpoint in endpoints]

    def machine() -> list[str]:
        return [socket.gethostname(), *(str(each) for each in own_addresses() or ())]

    return DevicesDesk(
        devices=parts.devices,
        threads=threads,
        contacts=contacts,
        trials=Trials(Prober(ae_title, client), parts.devices, contacts),
        ae_title=ae_title,
        doors=doors,
        machine=machine,
        allowed_networks=parts.config.network.allowed_public_networks,
    )


def _federation(parts: Parts, visitors: Visitors) -> FederationDesk:
    """Make what the pages of people, and the other ways to sign in, work with.

    Raises
    ------
    Misconfigured
        When the settings cannot work.
    """
    accounts, config = parts.open_people("web"), parts.config
    passkeys: Passkeys | None = None
    sign_on: SignOn | None = None
    if config.web.address and not is_bare(config.web.address):
        passkeys = parts.stack.enter_context(
            Passkeys(
                parts.folder.path / PASSKEYS_FILE,
                parts.derive("passkeys database"),
                RelyingParty.of(config.web.address),
                accounts.people,
                accounts.sessions,
                parts.audit,
                visitors.refusals,
            )
        )
    if config.oidc.issuer:
        settings = _oidc_settings(config)
        authority = Path(config.oidc.authority).expanduser() if config.oidc.authority else None
        provider = Provider(settings, parts.stack.enter_context(Outbound(authority)))
        sign_on = SignOn(settings, provider, accounts.people, accounts.sessions, visitors.refusals)
    people = PeopleDesk(
        accounts,
        accounts.sign_in(visitors.refusals),
        Threads(Pool(_SIGNING_IN, "sign-in")),
        entrances=(Entrance(config.oidc.label, single_sign_on.START),) if sign_on else (),
        has_passkeys=passkeys is not None,
    )
    return FederationDesk(people, Threads(Pool(_SIGNING_ON, "sign-on")), sign_on, passkeys)


def _oidc_settings(config: Config) -> OidcSettings:
    said = config.oidc
    if not config.web.address:
        raise Misconfigured("[oidc] needs [web] address in leadglass.toml: where the provider sends people back to.")
    origin = public_origin(config.web.address)
    return OidcSettings(
        issuer=said.issuer,
        client_id=said.client_id,
        client_secret=_secret(said.client_secret_file),
        redirect_uri=origin + single_sign_on.CALLBACK,
        scopes=said.scopes,
        name_claim=said.name_claim,
        groups_claim=said.groups_claim,
        groups=RoleMapping.parse(said.groups),
    )


def webhooks(parts: Parts, archive: Archive, threads: Threads, ae_title: str) -> Webhooks:
    """Make what tells the configured receivers.

    Raises
    ------
    Misconfigured
        When the settings cannot work.
    """
    said = parts.config.webhooks
    receivers = receivers_of(said.receivers, said.unsafe_loopback_receivers)
    secret = _secret(said.secret_file)
    if len(secret) < LEAST_SECRET:
        raise Misconfigured(
            f"[webhooks] needs secret_file, a file with at least {LEAST_SECRET} characters to sign bodies with. "
            "Make one: openssl rand -hex 32"
        )
    try:
        trusted = ssl.create_default_context(cafile=said.authority or None)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured("[webhooks] authority is not a PEM file with certificates of authorities.") from error
    trusted.minimum_version = ssl.TLSVersion.TLSv1_2
    return Webhooks(
        archive,
        parts.open_jobs(),
        receivers,
        secret.encode(),
        ae_title,
        caller_of_receiver,
        threads=threads,
        tell=lambda reason: parts.record(Outcome.ALERT, "webhook", reason),
        context=trusted,
        pace=HookPace(said.timeout, said.retry, said.retry_longest, said.alert_after),
    )


def _secret(where: str) -> str:
    """Read a secret from a file of the operator's, or a credential of systemd; empty when none is named."""
    if not where:
        return ""
    path, is_credential = Path(where).expanduser(), False
    if not path.is_absolute():
        folder = os.environ.get(CREDENTIALS)
        if not folder or path.name != where:
            raise Misconfigured(
                f"leadglass.toml names {where!r} as a secret: write a full path, or a credential's name."
            )
        path, is_credential = Path(folder) / where, True
    read = keyfile.read_private(path, "The secret", credential=is_credential, most=4_096)
    try:
        return read.decode("ascii").strip()
    except ValueError:
        raise Misconfigured(f"The secret {path} is to be plain ASCII text.") from None


def _sharing(parts: Parts, visitors: Visitors) -> SharingDesk:
    """Make what the pages of sharing work with."""
    said, accounts = parts.config.shares, parts.open_people("web")
    visits = Visits(
        parts.open_shares("pages"),
        PeopleWhoShare(accounts.people),
        visitors.refusals,
        idle=timedelta(seconds=said.session_idle),
        wrong_pins=said.wrong_pins,
    )
    return SharingDesk(
        shares_of(parts, "pages"),
        visits,
        accounts.sessions,
        Threads(Pool(_OPENING, "links")),
        said.practice,
    )


def _evidence(
    parts: Parts, settings: WebSettings, desk: Threads, visitors: Visitors, visits: Visits
) -> tuple[Evidence, ...]:
    """Give every kind of evidence, in the order in which they are asked."""
    tokens = parts.open_tokens()
    sessions = parts.open_people("web").sessions

    def forged(peer: str, reason: str) -> None:
        visitors.refuse(peer, Why.NOBODY, reason)

    cookie = SessionCookie(sessions, desk, forged)
    visit = SessionCookie(visits, desk, forged, SHARE_COOKIE)
    others = _introspection(parts)
    ours = Bearable(tokens, parts.open_own_tokens("web"))
    kinds: list[Evidence] = [Bearer(ours if others is None else Bearers(ours, others), desk), cookie, visit]
    if settings.basic_auth_accounts:
        kinds.append(Basic(tokens, desk, settings.basic_auth_accounts, lambda name: _is_service(tokens, name)))
    return tuple(kinds)


def _introspection(parts: Parts) -> Introspection | None:
    """Make what knows tokens of another server, where one is named; raises ``Misconfigured``."""
    said = parts.config.introspection
    if not said.endpoint:
        return None
    authority = Path(said.authority).expanduser() if said.authority else None
    settings = IntrospectionSettings(
        endpoint=said.endpoint,
        client_id=said.client_id,
        client_secret=_secret(said.client_secret_file),
        audience=said.audience,
        issuer=said.issuer,
        scopes=RoleMapping.parse(said.scopes, "[introspection] scopes"),
        patient_claim=said.patient_claim,
    )
    return Introspection(settings, parts.stack.enter_context(Outbound(authority)), parts.audit)


def _is_service(tokens: Tokens, name: str) -> bool:
    token = tokens.find(name)
    return token is not None and token.role is Role.SERVICE


def context(parts: Parts, own: Path) -> ssl.SSLContext:
    """Make the TLS context: with the operator's certificate, or the archive's ``own``."""
    return tls.web_server_context(*web_certificate(parts.config, own), password=_password(parts))


def renew(parts: Parts, own: Path, secured: ssl.SSLContext) -> None:
    """Have new connections shown the certificate that is there now; raises ``Misconfigured``."""
    tls.load_web_certificate(secured, *web_certificate(parts.config, own), password=_password(parts))


def _password(parts: Parts) -> bytes | None:
    return None if parts.config.web.certificate else parts.authority.password


_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*\.?|\[?[0-9a-f:.]{2,45}\]?", re.IGNORECASE)


def check_settings(config: Config) -> None:
    """Look at what is written in ``[web]``; raises ``Misconfigured``."""
    web = config.web
    for origin in web.allowed_origins:
        if not _ORIGIN.fullmatch(origin):
            raise Misconfigured(
                f"[web] allowed_origins holds {origin!r}, which is no web origin. Write scheme, host and port in lower "
                "case without a path, like https://viewer.example.org; there is none for everybody."
            )
    for name in web.known_as:
        if not _NAME.fullmatch(name):
            raise Misconfigured(f"[web] names holds {name!r}. Write host names or addresses, without scheme and port.")


def _settings(config: Config, hosts: frozenset[str]) -> WebSettings:
    web = config.web
    return WebSettings(
        address=web.address.rstrip("/"),
        hosts=hosts | {name.lower().strip("[]").removesuffix(".") for name in web.known_as},
        trusted_proxies=web.trusted_proxies,
        allowed_origins=frozenset(web.allowed_origins),
        allowed_networks=config.network.allowed_public_networks,
        basic_auth_accounts=frozenset(web.unsafe_basic_auth_accounts),
        limits=WebLimits(
            connections=web.connections,
            connections_per_address=web.connections_per_address,
            pending=web.pending,
            pending_per_address=web.pending_per_address,
            header_bytes=web.header_bytes,
            header_seconds=web.header,
            idle=web.idle,
            write_stall=web.write_stall,
        ),
        instance_bytes=config.ingest.instance_bytes,
    )
