"""Parts: what every command needs, opened in one order and let go of in the reverse order, whatever happens.

Rule: with ``app`` and ``serving`` this is the composition root; what only the
server needs is made in ``serving``, so that no other command waits for it to load.
"""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leadglass import sections
from leadglass.archive.brake_store import BRAKES_FILE, BrakeStore
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.config import Config
from leadglass.crypto import keyfile, pem
from leadglass.crypto.ca import Authority
from leadglass.crypto.wrap import ArchiveKey
from leadglass.dicom.limits import Limits
from leadglass.errors import Misconfigured
from leadglass.exposure.store import EXPOSURE_FILE, ExposureStore
from leadglass.folder import Folder
from leadglass.identity.accounts import Accounts, open_accounts
from leadglass.identity.devices import Devices
from leadglass.identity.own_tokens import OwnTokens
from leadglass.identity.people_store import PEOPLE_FILE
from leadglass.identity.share_store import SHARES_FILE, ShareStore
from leadglass.identity.shares import Shares
from leadglass.identity.tokens import TOKENS_FILE, Tokens
from leadglass.jobs.queue import JOBS_FILE, Queue
from leadglass.keyring import Sealed, SealedDatabase, SealedKey
from leadglass.policy.brakes import DEFAULTS, Brakes, brakes_of
from leadglass.policy.caller import CallerKind
from leadglass.vault.records import Caps, SubmittedCaps
from leadglass.vault.rekeying import rewrap
from leadglass.vault.settings import VaultSettings
from leadglass.vault.vault import Vault, open_vault

if TYPE_CHECKING:
    import ssl

CERTIFICATE_KEYS: Final = "certificate keys"
"""What the password is derived by that seals the authority's key and the server's."""

AUDIT_KEY: Final = "audit signing key"
"""What the password is derived by that seals the key that signs the audit log's heads."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every command needs, opened."""

    folder: Folder
    config: Config
    audit: AuditLog
    authority: Authority
    devices: Devices
    vault: Vault
    open_jobs: Callable[[], Queue]
    """Opens the queue, for the few that need it; it is closed with the other parts."""
    open_brakes: Callable[[], BrakeStore]
    """Opens what the brakes counted, likewise."""
    open_tokens: Callable[[], Tokens]
    """Opens the tokens of programs, likewise; always the same ones."""
    open_people: Callable[[str], Accounts]
    """Opens the accounts of people for a door of this name, likewise."""
    open_shares: Callable[[str], ShareStore]
    """Opens the links for a door of this name, likewise."""
    open_own_tokens: Callable[[str], OwnTokens]
    """Opens the tokens of people for a door of this name, likewise."""
    open_exposure: Callable[[], ExposureStore]
    """Opens what the self-check keeps, likewise."""
    derive: Callable[[str], bytes]
    """Gives the key of a database that one command alone opens, by its label."""
    stack: ExitStack
    """What is closed with the other parts."""

    def record(self, outcome: Outcome, action: str, reason: str, **detail: str | int) -> None:
        """Put something the archive itself did on record."""
        self.audit.append(
            Event(outcome, action, peer="local", door="system", reason=reason, detail=detail),
        )


@contextmanager
def opened(folder: Folder, config: Config, key: ArchiveKey) -> Generator[Parts]:
    """Open every part of an initialised folder."""
    with ExitStack() as stack:
        audit = stack.enter_context(
            AuditLog(
                folder.audit,
                key.derive("audit database"),
                _signing_key(folder.audit_key, key.password(AUDIT_KEY)),
                checkpoint_every=config.audit.checkpoint_every,
            )
        )
        authority = Authority.load(folder.ca_certificate, folder.ca_key, password=key.password(CERTIFICATE_KEYS))
        devices = stack.enter_context(
            Devices(folder.identity, key.derive("identity database"), audit, authority, door="cli")
        )
        vault = stack.enter_context(open_vault(folder.path, key, _vault_settings(config)))

        def open_jobs() -> Queue:
            return stack.enter_context(Queue(folder.path / JOBS_FILE, key.derive("jobs database")))

        def open_brakes() -> BrakeStore:
            return stack.enter_context(BrakeStore(folder.path / BRAKES_FILE, key.derive("brakes database")))

        @cache
        def open_tokens() -> Tokens:
            return stack.enter_context(
                Tokens(
                    folder.path / TOKENS_FILE,
                    key.derive("tokens database"),
                    audit,
                    longest=timedelta(days=config.tokens.longest_days),
                )
            )

        @cache
        def open_people(door: str) -> Accounts:
            path = folder.path / PEOPLE_FILE
            return stack.enter_context(
                open_accounts(
                    path,
                    key.derive("people database"),
                    audit,
                    door=door,
                    idle=timedelta(seconds=config.people.session_idle),
                    longest=timedelta(seconds=config.people.session_longest),
                )
            )

        @cache
        def open_shares(door: str) -> ShareStore:
            return stack.enter_context(
                ShareStore(folder.path / SHARES_FILE, key.derive("shares database"), audit, door=door)
            )

        @cache
        def open_own_tokens(door: str) -> OwnTokens:
            return stack.enter_context(
                OwnTokens(
                    folder.path / TOKENS_FILE,
                    key.derive("tokens database"),
                    audit,
                    open_people(door).people,
                    longest=timedelta(days=config.tokens.longest_days),
                    door=door,
                )
            )

        @cache
        def open_exposure() -> ExposureStore:
            path = folder.path / EXPOSURE_FILE
            return stack.enter_context(ExposureStore(path, key.derive("exposure database"), keep=config.exposure.keep))

        yield Parts(
            folder=folder,
            config=config,
            audit=audit,
            authority=authority,
            devices=devices,
            vault=vault,
            open_jobs=open_jobs,
            open_brakes=open_brakes,
            open_tokens=open_tokens,
            open_people=open_people,
            open_own_tokens=open_own_tokens,
            open_shares=open_shares,
            open_exposure=open_exposure,
            derive=key.derive,
            stack=stack,
        )


def client_tls(parts: Parts) -> "ssl.SSLContext | None":
    """Give what the archive reaches devices with over TLS; None while it has no certificate of its own.

    Raises
    ------
    Misconfigured
    """
    from leadglass.crypto import tls  # only here: few commands reach anybody

    own = parts.folder.server_certificate
    if not own.exists():
        return None
    return tls.client_context(own, parts.folder.ca_certificate, password=parts.authority.password)


def brake_limits(config: Config) -> dict[CallerKind, Brakes]:
    """Give the limits of every kind of caller, as the operator set them."""
    said = config.brakes

    def of(limits: sections.Brakes | sections.BrakesOfPeople | sections.BrakesOfTokens) -> Brakes:
        return brakes_of(
            queries_per_minute=limits.queries_per_minute,
            listed_per_hour=limits.listed_per_hour,
            listed_per_day=limits.listed_per_day,
            studies_per_hour=limits.studies_per_hour,
            studies_per_day=limits.studies_per_day,
            gib_per_hour=limits.gib_per_hour,
            gib_per_day=limits.gib_per_day,
            slow_from_percent=said.slow_from_percent,
        )

    return {
        **DEFAULTS,
        CallerKind.DEVICE: of(said),
        CallerKind.PERSON: of(said.people),
        CallerKind.TOKEN: of(said.tokens),
    }


def shares_of(parts: Parts, door: str) -> Shares:
    """Open the links, for those who make them at a door."""
    said = parts.config.shares
    return Shares(
        parts.open_shares(door), life=timedelta(days=said.default_days), longest=timedelta(days=said.longest_days)
    )


def web_certificate(config: Config, own: Path) -> tuple[Path, Path | None]:
    """Give the file with the certificate that the web door shows, and that with its key when it is another.

    Raises
    ------
    Misconfigured
        When the operator's is not there.
    """
    said = config.web
    if not said.certificate:
        return own, None
    for name, text in (("certificate", said.certificate), ("key", said.key)):
        if text and not Path(text).expanduser().is_file():
            raise Misconfigured(f"[web] {name} of leadglass.toml names {text}, which is no file. Write its full path.")
    return Path(said.certificate).expanduser(), Path(said.key).expanduser() if said.key else None


def make_keys(folder: Folder, key: ArchiveKey) -> None:
    """Make the private keys of a new folder, sealed, or go on where that was interrupted."""
    if not folder.audit_key.exists():
        made = Ed25519PrivateKey.generate()
        keyfile.write_new(folder.audit_key, pem.seal(made, key.password(AUDIT_KEY)))
    Authority.create(folder.ca_certificate, folder.ca_key, password=key.password(CERTIFICATE_KEYS))


def sealed(folder: Folder) -> Sealed:
    """Name everything in a folder that the archive key opens.

    Every database is sealed under a key that is derived by the database's name.
    """
    change = {folder.index: rewrap}
    return Sealed(
        databases=tuple(
            SealedDatabase(path, f"{path.stem} database", change.get(path)) for path in sorted(folder.path.glob("*.db"))
        ),
        keys=(
            SealedKey(folder.ca_key, CERTIFICATE_KEYS),
            SealedKey(folder.server_certificate, CERTIFICATE_KEYS),
            SealedKey(folder.audit_key, AUDIT_KEY),
        ),
    )


def _signing_key(path: Path, password: bytes) -> bytes:
    """Read the key that signs the audit log's heads."""
    key = pem.load(path, password)
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured(f"The key {path} is not one that Leadglass made. Restore it from your backup.")
    return key.private_bytes_raw()


def reading_limits(config: Config) -> Limits:
    """Give what reading a data set may cost."""
    ingest = config.ingest
    return Limits(
        header_bytes=ingest.header_bytes,
        elements=ingest.elements,
        depth=ingest.depth,
        inflated_bytes=ingest.inflated_bytes,
        inflation_ratio=ingest.inflation_ratio,
        private_transfer_syntaxes=frozenset(ingest.private_transfer_syntaxes),
    )


def _vault_settings(config: Config) -> VaultSettings:
    ingest = config.ingest
    return VaultSettings(
        limits=reading_limits(config),
        private_sop_classes=frozenset(ingest.private_sop_classes),
        max_instance_bytes=ingest.instance_bytes,
        min_free_bytes=ingest.min_free_bytes,
        batch=config.work.commit_instances,
        quarantine=Caps(ingest.quarantine_instances, ingest.quarantine_bytes),
        submitted=SubmittedCaps(
            Caps(ingest.submitted_instances, ingest.submitted_bytes),
            each=Caps(ingest.submitted_instances_of_one, ingest.submitted_bytes_of_one),
        ),
    )
