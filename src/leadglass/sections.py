"""Sections: what each section of ``leadglass.toml`` may say, with unit, default and reason beside each field.

Rule: what makes the archive less safe has a name that begins with ``unsafe_``.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final
from urllib.parse import urlsplit

IpNetwork = IPv4Network | IPv6Network

KIB: Final = 1024
MIB: Final = 1024 * KIB


def _limit(default: int, least: int, most: int) -> int:
    """Declare a whole number with its bounds."""
    return field(default=default, metadata={"least": least, "most": most})


def _seconds(default: float, least: float, most: float) -> float:
    """Declare a duration with its bounds."""
    return field(default=default, metadata={"least": least, "most": most})


@dataclass(frozen=True, slots=True)
class Listen:
    """Where doors open when the command line does not say. ``HOST:PORT``, port 0 is any free port."""

    dicom_tls: str = "127.0.0.1:2762"
    """DICOM over TLS. 2762 is the port registered for it (PS3.8 section 9.1.1);
    loopback, because nobody is enrolled on the first day."""

    dicom: str = ""
    """The plaintext lane for old modalities. Empty: closed, because it is not encrypted."""

    https: str = ""
    """The web door: DICOMweb, sign-in, pages. Empty: closed; not every archive needs
    it, and what is closed costs nothing."""


@dataclass(frozen=True, slots=True)
class Network:
    """Who may reach a listener at all, before any protocol is spoken."""

    allowed_public_networks: tuple[IpNetwork, ...] = ()
    """Globally routable networks whose peers are not turned away, in CIDR
    notation. None, because an archive that the internet can reach is how
    archives leak. At most a /8 (IPv4) or a /16 (IPv6) each."""

    unsafe_listen_on_public_address: bool = False
    """Allows a listener on a globally routable address, or on every address of a
    machine that has one. False: bind to the address of the network the
    modalities are in."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What a peer may cost the upper layer (PS3.8); names and defaults are those of ``wire.limits.WireLimits``."""

    max_pdu: int = _limit(256 * KIB, 4 * KIB, 16 * MIB)
    """Bytes of the largest P-DATA-TF announced and accepted. 256 KiB: larger ones
    no longer make it faster, and each association may hold one."""

    associations: int = _limit(256, 1, 10_000)
    """Associations at one time. 256: a large radiology has about 60 devices."""

    associations_per_address: int = _limit(128, 1, 10_000)
    """Associations at one time from one address. 128: a gateway sends for a whole department."""

    pending: int = _limit(256, 1, 10_000)
    """Connections without an association at one time."""

    pending_per_address: int = _limit(64, 1, 10_000)
    """Connections without an association at one time from one address."""

    tls_handshake: float = _seconds(10.0, 0.1, 300)
    """Seconds for the TLS handshake. 10: a slow modality needs about two."""

    artim: float = _seconds(15.0, 0.1, 300)
    """Seconds from the connection to a complete A-ASSOCIATE-RQ (the ARTIM timer, PS3.8 section 9.1.5)."""

    idle: float = _seconds(300.0, 1, 86_400)
    """Seconds between messages before an association is aborted. Modalities keep
    one open between patients; five minutes are customary."""

    write_stall: float = _seconds(60.0, 0.1, 3_600)
    """Seconds for which a peer may take nothing of what is sent to it."""

    response: float = _seconds(300.0, 1, 86_400)
    """Seconds to wait for the answer to a request of ours; a receiver may be loading a tape."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """Limits on an instance on its way in, checked before the work they limit.

    Names and defaults of those on the header are those of ``dicom.limits.Limits``.
    """

    instance_bytes: int = _limit(16 * 1024 * MIB, MIB, 1024 * 1024 * MIB)
    """Bytes of one data set. 16 GiB: whole slide images reach a few GiB; a sender
    that never ends must not fill the disk."""

    header_bytes: int = _limit(64 * MIB, 64 * KIB, 1024 * MIB)
    """Bytes of element headers and kept values. 64 MiB: an enhanced multi-frame
    header with some ten thousand frames."""

    elements: int = _limit(500_000, 1_000, 100_000_000)
    """Elements and items in one data set, those in sequences included."""

    depth: int = _limit(64, 4, 500)
    """Sequences within sequences. 64: real objects stay below 20."""

    inflated_bytes: int = _limit(1024 * MIB, MIB, 64 * 1024 * MIB)
    """Bytes a deflated data set may grow to: against small files that inflate without end."""

    inflation_ratio: int = _limit(200, 2, 2_000)
    """How many times larger a deflated data set may become; images deflate about 2 to 20 times."""

    private_sop_classes: tuple[str, ...] = ()
    """UIDs of private storage SOP classes to take in. None: each is a format
    that only its maker reads; list those of your modalities."""

    private_transfer_syntaxes: tuple[str, ...] = ()
    """UIDs of private transfer syntaxes to take in, kept as they come. None:
    nobody but their maker's programs can show what is in them."""

    min_free_bytes: int = _limit(1024 * MIB, 0, 1024 * 1024 * MIB)
    """Bytes that stay free on the disk; below it nothing more is taken in. 1 GiB:
    room to commit, to record and to delete."""


@dataclass(frozen=True, slots=True)
class Work:
    """What works at the same time, and for how long."""

    associations_per_device: int = _limit(64, 1, 10_000)
    """Associations at one time of one device. 64: half of what one address may have,
    so that one device behind a gateway leaves room for the others."""

    threads: int = _limit(16, 2, 256)
    """Threads for the synchronous core. 16: they mostly wait for the disk. A
    quarter of them may work on queries at one time, so that storing goes on."""

    query_seconds: float = _seconds(120.0, 1, 3_600)
    """Seconds for which a query may work without a match before it is answered as
    out of resources. 120: clients lose patience earlier."""

    commit_instances: int = _limit(64, 1, 10_000)
    """Instances that may share one transaction. 64: a commit of 16 costs each a
    tenth of one alone, and beyond 64 little is gained."""

    decoders: int = _limit(2, 1, 64)
    """Worker processes that decode pixels. 2: decoding is for receivers that did
    not accept the stored transfer syntax, which is seldom."""

    decoder_seconds: float = _seconds(60.0, 1, 3_600)
    """Seconds for one data set before its worker is killed."""

    decoder_bytes: int = _limit(512 * MIB, MIB, 64 * 1024 * MIB)
    """Bytes of the largest data set decoded, before and after."""

    decoder_memory_bytes: int = _limit(4096 * MIB, 256 * MIB, 1024 * 1024 * MIB)
    """Bytes of address space of one worker."""

    renderers: int = _limit(2, 1, 64)
    """Worker processes that make pictures (rendered, thumbnail). 2: one for each core
    of the smallest machine; more help only where there are more cores."""

    renderer_seconds: float = _seconds(30.0, 1, 3_600)
    """Seconds for one picture before its worker is killed. 30: a thousand times what
    a CT slice takes."""

    rendered_samples: int = _limit(128 * MIB, MIB, 4096 * MIB)
    """Rows x Columns x Samples per Pixel of the largest frame that is rendered.
    128 Mi: three times a large mammogram; slides are stored in tiles."""


@dataclass(frozen=True, slots=True)
class AuditCollector:
    """The syslog collector that every audit record is sent to (RFC 5425: TLS, both sides show a certificate)."""

    host: str = ""
    """Its name, as in its certificate. Empty: records are kept here only."""

    port: int = _limit(6_514, 1, 65_535)
    """Its port. 6514 is the one registered for syslog over TLS."""

    authority: str = ""
    """PEM file with the certificate of the authority that signed the collector's. No public authority is trusted."""

    certificate: str = ""
    """PEM file (mode 0600) with the certificate and key to show. Empty: the archive's own, which `ca.pem` verifies."""

    format: str = "dicom-xml"
    """How records are written: `dicom-xml` (PS3.15 A.5), which collectors for medical devices read, or `json`."""

    facility: int = _limit(10, 0, 23)
    """The syslog facility. 10: security/authorization, as PS3.15 A.6 asks for."""

    heartbeat: float = _seconds(900.0, 1, 86_400)
    """Seconds after which the newest signed head is sent again though nothing is new, so that silence is noticed."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit log."""

    checkpoint_every: int = _limit(1_024, 1, 1_024)
    """Records between two signed heads. 1,024: re-hashing so many at a start takes milliseconds."""

    window: float = _seconds(300.0, 1, 86_400)
    """Seconds for which one opening record covers a caller's work on one study, over all its sessions."""

    checkpoint_folder: str = ""
    """A folder elsewhere, such as a share that can be written once, that gets each signed head as a file. Empty:
    none."""

    alert_after: float = _seconds(600.0, 1, 86_400)
    """Seconds for which the collector or that folder may fail until it is on record as an alert."""

    collector: AuditCollector = field(default_factory=AuditCollector)
    """Where every record is sent as well."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """Storage Commitment: what may be asked, and how patiently it is answered."""

    references: int = _limit(20_000, 1, 200_000)
    """References in one request. 20,000: more instances than one examination makes."""

    open_per_device: int = _limit(50, 1, 10_000)
    """Transactions of one device that are not reported yet. 50: a modality asks once for each examination."""

    retry: float = _seconds(30.0, 0.1, 86_400)
    """Seconds until a report that did not arrive is sent again; each pause is twice the one before."""

    retry_longest: float = _seconds(3_600.0, 1, 86_400)
    """Seconds between two attempts at most."""

    give_up: float = _seconds(259_200.0, 1, 2_592_000)
    """Seconds after which a report is given up, with an alert. Three days: a
    modality that was switched off on Friday is back on Monday."""


@dataclass(frozen=True, slots=True)
class Key:
    """Where the secret comes from that opens the archive key.

    It says how a new archive is made, and what must be so afterwards;
    ``leadglass key move`` changes it.
    """

    source: str = ""
    """``file``, ``passphrase``, ``environment`` or ``credential``. Empty: as the
    archive was made, and for a new one a file in the data folder, because that
    starts without anybody."""

    file: str = ""
    """The key file, where the source is ``file`` and it is to lie elsewhere: a
    full path. Empty: in the data folder."""


@dataclass(frozen=True, slots=True)
class BrakesOfPeople:
    """The same for one person, over all browsers and sessions; reading at a browser is reading."""

    queries_per_minute: int = _limit(600, 10, 100_000)
    """Queries. 600: pages that refresh their lists ask 60 to 100 times."""

    listed_per_hour: int = _limit(5_000, 10, 1_000_000)
    """Different patients and studies whose rows are handed out: as at a workstation."""

    listed_per_day: int = _limit(20_000, 10, 1_000_000)
    """The same within a day."""

    studies_per_hour: int = _limit(1_000, 10, 1_000_000)
    """Different studies retrieved: as at a workstation."""

    studies_per_day: int = _limit(3_000, 10, 1_000_000)
    """The same within a day."""

    gib_per_hour: int = _limit(200, 1, 1_000_000)
    """GiB retrieved: as at a workstation."""

    gib_per_day: int = _limit(1_000, 1, 1_000_000)
    """The same within a day."""


@dataclass(frozen=True, slots=True)
class BrakesOfTokens:
    """The same for one token: a program that was given to one purpose."""

    queries_per_minute: int = _limit(600, 10, 100_000)
    """Queries. 600: a viewer asks in bursts."""

    listed_per_hour: int = _limit(1_000, 10, 1_000_000)
    """Different patients and studies whose rows are handed out. 1,000: the list of a day of a large house."""

    listed_per_day: int = _limit(5_000, 10, 1_000_000)
    """The same within a day."""

    studies_per_hour: int = _limit(200, 10, 1_000_000)
    """Different studies retrieved. 200: more than one purpose needs, less than a dump."""

    studies_per_day: int = _limit(1_000, 10, 1_000_000)
    """The same within a day."""

    gib_per_hour: int = _limit(50, 1, 1_000_000)
    """GiB retrieved. 50: 160 studies of 300 MB."""

    gib_per_day: int = _limit(200, 1, 1_000_000)
    """The same within a day."""


@dataclass(frozen=True, slots=True)
class Brakes:
    """How much one device may be given within a time, so that a stolen key does not empty the archive.

    Past a limit its queries and retrievals are refused until the time has moved
    on. A device that is granted bulk (``leadglass device add --bulk``) is not
    braked; storing never is.
    """

    slow_from_percent: int = _limit(50, 1, 100)
    """Share of each limit above which the device is slowed and the operator is
    told. 50: somebody can look before work is stopped."""

    delay_seconds: float = _seconds(2.0, 0, 10)
    """Seconds for which one request or page of a device that is slowed is held up
    at most. 2: common clients lose patience after 30."""

    queries_per_minute: int = _limit(600, 10, 100_000)
    """Queries. 600: a workstation that refreshes its lists and looks for priors
    asks 60 to 100 times; ten a second is no person."""

    listed_per_hour: int = _limit(5_000, 10, 1_000_000)
    """Different patients and studies whose rows are handed out. 5,000: the list of
    a week of a large house."""

    listed_per_day: int = _limit(20_000, 10, 1_000_000)
    """The same within a day. 20,000: 100 patients a day with 20 priors are 2,000,
    and some long lists besides."""

    studies_per_hour: int = _limit(1_000, 10, 1_000_000)
    """Different studies retrieved. 1,000: priors that are fetched in the morning,
    5 for each of 100 patients, come to 500."""

    studies_per_day: int = _limit(3_000, 10, 1_000_000)
    """The same within a day: three readers at one workstation."""

    gib_per_hour: int = _limit(200, 1, 1_000_000)
    """GiB retrieved. 200: half of it is 340 studies of 300 MB; a line of 1 Gbit/s carries 400."""

    gib_per_day: int = _limit(1_000, 1, 1_000_000)
    """The same within a day. 1,000: 100 studies of 300 MB an hour are 280 in ten hours."""

    people: BrakesOfPeople = field(default_factory=BrakesOfPeople)
    """Those of people."""

    tokens: BrakesOfTokens = field(default_factory=BrakesOfTokens)
    """Those of tokens."""


@dataclass(frozen=True, slots=True)
class Oidc:
    """Single sign-on: an OpenID provider that says who people are. Needs ``[web] address``."""

    issuer: str = ""
    """Its issuer, exactly as it says it itself: an https address. Empty: there is none."""

    client_id: str = ""
    """The archive's client there, of the kind web application (authorization code). Its
    redirect address is the one in ``[web] address`` with ``/sign-in/oidc/callback`` behind."""

    client_secret_file: str = ""
    """File (mode 0600) with the client's secret: a full path, or the name of a systemd
    credential. Empty: a public client."""

    label: str = "Sign in with your organisation's account"
    """What the button on the sign-in page says."""

    scopes: tuple[str, ...] = ("profile",)
    """What is asked for besides `openid`. Some providers want `groups` here."""

    name_claim: str = "preferred_username"
    """The claim that says what somebody is called; who it is, the subject says."""

    groups_claim: str = "groups"
    """The claim that lists somebody's groups; dots stand between the names of nested ones,
    as in `realm_access.roles`."""

    groups: tuple[str, ...] = ()
    """Which groups are which roles: `GROUP -> ROLE`, or `GROUP -> ROLE SCOPE …`, as in
    `gps-north -> referrer label=north`. The first that fits names the role. None: nobody is let in."""

    authority: str = ""
    """PEM file with the authorities that may vouch for the provider. Empty: those of the operating system."""


@dataclass(frozen=True, slots=True)
class Introspection:
    """Bearer tokens of another authorization server, for SMART-style clients: it is asked what each is worth."""

    endpoint: str = ""
    """Its introspection endpoint (RFC 7662): an https address. Empty: only the archive's own tokens count."""

    client_id: str = ""
    """How the archive is called there."""

    client_secret_file: str = ""
    """File (mode 0600) with what proves it: a full path, or the name of a systemd credential."""

    audience: str = ""
    """Whom a token has to be for (`aud`). Needed: one that was given to another program must not count here."""

    issuer: str = ""
    """Who has to have made it (`iss`). Empty: the server is trusted to know."""

    scopes: tuple[str, ...] = ()
    """Which scopes are which roles: `SCOPE -> ROLE`, or with studies behind, as in
    `patient/ImagingStudy.read -> referrer patient={patient}`. The first that fits names
    the role. None: nobody is let in."""

    patient_claim: str = ""
    """Which member of its answer is the Patient ID that stands for `{patient}`. Empty: none, and such scopes cover
    nothing. The `patient` of SMART is an id of a FHIR server; name it only where that is the Patient ID too."""

    authority: str = ""
    """PEM file with the authorities that may vouch for the server. Empty: those of the operating system."""


@dataclass(frozen=True, slots=True)
class People:
    """People who sign in at a browser."""

    session_idle: float = _seconds(1_800.0, 60, 43_200)
    """Seconds for which nothing may be asked before somebody is signed out. Half an
    hour: a break; longer, and an unattended screen is anybody's."""

    session_longest: float = _seconds(43_200.0, 600, 7 * 86_400)
    """Seconds after which somebody is signed out in any case. Twelve hours: a shift."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """API tokens: what programs prove themselves with."""

    longest_days: int = _limit(90, 1, 366)
    """Days for which a token may be made to count. 90: a lost one ends within a
    quarter; who needs more renews it, which a script can do."""


@dataclass(frozen=True, slots=True)
class Web:
    """The web door: how it is reached, and what a connection may cost; limits are those of ``doors.web.settings``."""

    names: tuple[str, ...] = ()
    """Host names and addresses it is reached by, besides those it listens on: a
    request for any other host is refused. None: a proxy or DNS name has to be told."""

    address: str = ""
    """How people reach it: `https://NAME` or `https://NAME:PORT`. Empty: there are no
    passkeys and no single sign-on, which are bound to that name."""

    certificate: str = ""
    """PEM file with the certificate of your own authority, chain included. Empty:
    the archive's own, which `ca.pem` verifies, kept and renewed by itself."""

    key: str = ""
    """PEM file (mode 0600) with its private key. Empty: it is in the certificate's file."""

    trusted_proxies: tuple[IpNetwork, ...] = ()
    """Networks of reverse proxies that are believed about whom they ask for
    (`X-Forwarded-For` or `Forwarded`), in CIDR notation. None: anybody can write such a field."""

    allowed_origins: tuple[str, ...] = ()
    """Web origins (`https://viewer.example.org`) whose scripts may ask, with a token.
    None: a page of somebody else has no business here."""

    unsafe_basic_auth_accounts: tuple[str, ...] = ()
    """Tokens of the role service that may be shown by HTTP Basic, the token's name as
    user and the token as password, for programs that know nothing else. None:
    passwords of that kind end in scripts and logs."""

    connections: int = _limit(512, 1, 100_000)
    """Connections of identified callers at one time."""

    connections_per_address: int = _limit(128, 1, 100_000)
    """Connections of identified callers from one address, proxies apart. 128: a browser
    opens six, and a whole department may be behind one address."""

    pending: int = _limit(256, 1, 100_000)
    """Connections without an identified caller at one time."""

    pending_per_address: int = _limit(64, 1, 100_000)
    """Connections without an identified caller from one address."""

    header_bytes: int = _limit(32 * KIB, 4 * KIB, MIB)
    """Bytes of a request's line and header. Real ones have one to four kB."""

    header: float = _seconds(15.0, 0.5, 300)
    """Seconds from the connection, or the first byte of a request, to the end of its header."""

    idle: float = _seconds(75.0, 1, 3_600)
    """Seconds between requests before a connection is closed."""

    write_stall: float = _seconds(60.0, 0.5, 3_600)
    """Seconds for which a peer may take nothing of what is sent to it."""

    @property
    def known_as(self) -> tuple[str, ...]:
        """Every name it is reached by that the settings say."""
        host = urlsplit(self.address).hostname if self.address.startswith("https://") else None
        return (*self.names, host) if host else self.names


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Receivers that are told of what happens in the archive, by a signed POST of ids (`docs/dicomweb.md`)."""

    receivers: tuple[str, ...] = ()
    """URLs, https only, each called as it is written here: redirects are not followed. None: nobody is told."""

    secret_file: str = ""
    """File (mode 0600) whose text the bodies are signed with, at least 32 characters. A full path."""

    authority: str = ""
    """PEM file with the authority that signed the receivers' certificates. Empty: those that this system trusts."""

    timeout: float = _seconds(10.0, 0.1, 300)
    """Seconds for one attempt."""

    retry: float = _seconds(1.0, 0.01, 3_600)
    """Seconds until an attempt that failed is made again; each pause is twice the one before."""

    retry_longest: float = _seconds(3_600.0, 0.01, 86_400)
    """Seconds between two attempts at most. It is never given up: who comes back gets everything."""

    alert_after: float = _seconds(600.0, 0, 604_800)
    """Seconds for which a receiver may fail until it is on record as an alert."""

    unsafe_loopback_receivers: tuple[str, ...] = ()
    """URLs on this machine that are called without TLS. For trying out: other programs here may read along."""
