"""Facts: everything the self-check looks at, gathered beforehand, so that each check is a function of it.

Rule: no secret and no patient data. Times are with their zone.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from leadglass.config import Config
from leadglass.identity.device import Device
from leadglass.identity.person import Person
from leadglass.identity.tokens import Token

IpAddress = IPv4Address | IPv6Address


class Reach(StrEnum):
    """From where an address is reached."""

    LOOPBACK = "this machine only"
    LOCAL = "the local network"
    PUBLIC = "the whole internet"


@dataclass(frozen=True, slots=True)
class Opened:
    """A door that is open, or that the settings open.

    Parameters
    ----------
    door : str
        ``https``, ``dicom-tls``, ``dicom``.
    address : str
        ``HOST:PORT``.
    reach : Reach
        From where it is reached.
    """

    door: str
    address: str
    reach: Reach


@dataclass(frozen=True, slots=True)
class Stranger:
    """A peer that sent proxy fields (X-Forwarded-For, Forwarded) and is no trusted proxy.

    Parameters
    ----------
    peer : str
        Its address.
    times : int
        How often, since the server started.
    last : datetime
        When it last did.
    """

    peer: str
    times: int
    last: datetime


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """The certificate that a door shows.

    Parameters
    ----------
    subject, issuer : str
        As in the certificate.
    names : tuple of str
        Host names and addresses it is for.
    not_before, not_after : datetime
        From when until when it counts.
    key : str
        Kind of key: ``EC``, ``RSA``, ``Ed25519``.
    bits : int
        Of the key.
    signed_with : str
        Hash of the signature: ``sha256``.
    is_ours : bool
        Whether the archive issued it, and so renews it by itself.
    chain : int
        Certificates shown with it.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    key: str
    bits: int
    signed_with: str
    is_ours: bool
    chain: int = 0


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a TLS door negotiated with a client that offered one thing only.

    Parameters
    ----------
    offered : str
        What the client offered.
    version, suite : str
        What was agreed; empty: it was refused.
    """

    offered: str
    version: str = ""
    suite: str = ""

    @property
    def is_agreed(self) -> bool:
        """Whether there was a connection."""
        return bool(self.version)


@dataclass(frozen=True, slots=True)
class Secured:
    """A door with TLS, as a client sees it.

    Parameters
    ----------
    door : str
        ``https``, ``dicom-tls``.
    preferred : Handshake
        What is agreed with a client that can do everything.
    good, weak : tuple of Handshake
        What PS3.15 B.12 wants to work, and what it wants to be refused.
    certificate : ShownCertificate, optional
        What is shown; None when it cannot be read.
    wants_client_certificate : bool
        Whether a client without a certificate is turned away.
    fault : str
        Why the door cannot open with what is configured; empty: it can.
    reached_as : tuple of str
        Names that people reach the door by, as far as the settings say.
    """

    door: str
    preferred: Handshake
    good: tuple[Handshake, ...] = ()
    weak: tuple[Handshake, ...] = ()
    certificate: ShownCertificate | None = None
    wants_client_certificate: bool = False
    fault: str = ""
    reached_as: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A device, and when it was last there.

    Parameters
    ----------
    device : Device
        As it is enrolled.
    last_contact : datetime, optional
        When it was last let in; None: never, or it is not known.
    enrolled : datetime, optional
        When it got its certificate; None: it has none.
    """

    device: Device
    last_contact: datetime | None = None
    enrolled: datetime | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A person's account, and what is known of its use.

    Parameters
    ----------
    person : Person
        The account.
    last_seen : datetime, optional
        When somebody was last signed in with it; None: never, or longer ago than is kept.
    passkeys : int
        How many it has.
    """

    person: Person
    last_seen: datetime | None = None
    passkeys: int = 0

    @property
    def has_second(self) -> bool:
        """Whether more than a password is asked for."""
        return self.person.has_totp or self.passkeys > 0


@dataclass(frozen=True, slots=True)
class Link:
    """A share link that is open.

    Parameters
    ----------
    id : str
        Its public id.
    made, until : datetime
        From when until when it opens.
    has_secret : bool
        Whether a PIN or code is asked for besides.
    receives : bool
        Whether it is for sending studies in.
    """

    id: str
    made: datetime
    until: datetime
    has_secret: bool = False
    receives: bool = False


@dataclass(frozen=True, slots=True)
class Storage:
    """What is stored, and how much room there is.

    Parameters
    ----------
    studies, instances, octets : int
        What is stored.
    free, size : int
        Bytes of the disk.
    growth : float
        Bytes a day, as the last results show; 0: not known yet.
    quarantined, quarantined_octets : int
        What is kept aside.
    quarantine_room, quarantine_octets : int
        How much that may be.
    oldest_quarantined : datetime, optional
        Since when the oldest of it waits.
    """

    studies: int = 0
    instances: int = 0
    octets: int = 0
    free: int = 10**12
    size: int = 2 * 10**12
    growth: float = 0.0
    quarantined: int = 0
    quarantined_octets: int = 0
    quarantine_room: int = 1_000
    quarantine_octets: int = 20 * 2**30
    oldest_quarantined: datetime | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """One sealed database: its name, bytes of it and of its write-ahead log."""

    name: str
    octets: int
    log_octets: int = 0


@dataclass(frozen=True, slots=True)
class Loose:
    """A file or folder of the archive that others than its owner may use: its path and mode."""

    path: str
    mode: int
    is_folder: bool = False
    is_foreign: bool = False
    """Whether it belongs to another user."""


@dataclass(frozen=True, slots=True)
class Marked:
    """When something was last done, and how it ended.

    Parameters
    ----------
    when : datetime
        When.
    faults : int
        What was wrong then.
    """

    when: datetime
    faults: int = 0


@dataclass(frozen=True, slots=True)
class Trail:
    """The audit log and where copies of it are kept.

    Parameters
    ----------
    records : int
        How many.
    signed : datetime, optional
        When the newest head was signed; None: none was yet.
    unsigned : int
        Records that no signed head beside the database covers.
    is_outside_good : bool
        Whether the signed head beside the database is there and true.
    has_collector, has_folder : bool
        Whether copies go to a collector, and heads to a folder elsewhere.
    collector_fails, folder_fails : datetime, optional
        Since when that does not work.
    is_folder_beside : bool
        Whether that folder lies in the data folder, or on its disk.
    verified, checked : Marked, optional
        The last ``audit verify`` and the last ``fsck``.
    """

    records: int = 0
    signed: datetime | None = None
    unsigned: int = 0
    is_outside_good: bool = True
    has_collector: bool = True
    has_folder: bool = True
    collector_fails: datetime | None = None
    folder_fails: datetime | None = None
    is_folder_beside: bool = False
    verified: Marked | None = None
    checked: Marked | None = None


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where the archive key comes from; nothing of the key.

    Parameters
    ----------
    source : str
        ``file``, ``passphrase``, ``environment``, ``credential``.
    where : str
        The same in words.
    is_beside : bool
        Whether the key file lies in the data folder.
    is_settled : bool
        False when a change of the key was interrupted.
    """

    source: str
    where: str
    is_beside: bool = False
    is_settled: bool = True


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine and the process.

    Parameters
    ----------
    version : str
        Of Leadglass.
    installed : datetime, optional
        When this version was put on the machine.
    is_root : bool
        Whether the server (or this command) runs as root.
    leaves_core : bool
        Whether a crash could leave the process's memory on disk.
    is_clock_steered : bool, optional
        Whether something keeps the clock right; None: the system does not tell.
    newest_record : datetime, optional
        The time of the last audit record before this start.
    """

    version: str
    installed: datetime | None = None
    is_root: bool = False
    leaves_core: bool = False
    is_clock_steered: bool | None = True
    newest_record: datetime | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What is going on in the server.

    Parameters
    ----------
    threads, busy, waiting : int
        Of the core: how many there are, that work, and calls that wait for one.
    commitments : int
        Storage Commitment reports that are not delivered yet.
    receivers : int
        Webhook receivers that are configured.
    associations : int
        Open DICOM associations.
    """

    threads: int = 0
    busy: int = 0
    waiting: int = 0
    commitments: int = 0
    receivers: int = 0
    associations: int = 0


@dataclass(frozen=True, slots=True)
class Running:
    """The server that runs.

    Parameters
    ----------
    started : datetime
        When.
    version : str
        Which version it is of.
    settings : str
        A digest of the settings it read.
    is_root, leaves_core : bool
        As of ``Machine``.
    """

    started: datetime
    version: str
    settings: str
    is_root: bool = False
    leaves_core: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that is looked at.

    Parameters
    ----------
    now : datetime
        The time.
    config : Config
        What the operator set.
    settings : str
        A digest of the settings as they lie there now.
    running : Running, optional
        The server; None: none runs.
    doors : tuple of Opened
        What is open, or what the settings would open.
    own_addresses : tuple of addresses, optional
        Of this machine; None: the system does not tell.
    strangers : tuple of Stranger
        Who sent proxy fields and is no trusted proxy.
    secured : tuple of Secured
        Doors with TLS.
    authority_until : datetime, optional
        When the archive's own certificate authority ends.
    devices, accounts, tokens, links
        Who may come in.
    admin_groups : tuple of str
        Groups and scopes of others' that give the role admin here.
    unreviewed : int
        Emergency accesses that nobody looked at.
    storage, databases, loose, trail, key, machine, work
        See there.
    backup : datetime, optional
        When the last backup that is known of ended.
    since : datetime, optional
        When the archive was made.
    """

    now: datetime
    config: Config = field(default_factory=Config)
    settings: str = ""
    running: Running | None = None
    doors: tuple[Opened, ...] = ()
    own_addresses: tuple[IpAddress, ...] | None = ()
    strangers: tuple[Stranger, ...] = ()
    secured: tuple[Secured, ...] = ()
    authority_until: datetime | None = None
    devices: tuple[Enrolled, ...] = ()
    accounts: tuple[Account, ...] = ()
    tokens: tuple[Token, ...] = ()
    links: tuple[Link, ...] = ()
    admin_groups: tuple[str, ...] = ()
    unreviewed: int = 0
    storage: Storage = field(default_factory=Storage)
    databases: tuple[Database, ...] = ()
    loose: tuple[Loose, ...] = ()
    trail: Trail = field(default_factory=Trail)
    key: KeyPlace = field(default_factory=lambda: KeyPlace("credential", "the service manager"))
    machine: Machine = field(default_factory=lambda: Machine("0"))
    work: Work = field(default_factory=Work)
    backup: datetime | None = None
    since: datetime | None = None
