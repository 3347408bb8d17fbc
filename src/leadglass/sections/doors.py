"""What the doors may be told: where to listen, from whom, within which limits."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from leadglass.sections.base import KIB, MIB, IpNetwork, limit, seconds


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

    max_pdu: int = limit(256 * KIB, 4 * KIB, 16 * MIB)
    """Bytes of the largest P-DATA-TF announced and accepted. 256 KiB: larger ones
    no longer make it faster, and each association may hold one."""

    associations: int = limit(256, 1, 10_000)
    """Associations at one time. 256: a large radiology has about 60 devices."""

    associations_per_address: int = limit(128, 1, 10_000)
    """Associations at one time from one address. 128: a gateway sends for a whole department."""

    pending: int = limit(256, 1, 10_000)
    """Connections without an association at one time."""

    pending_per_address: int = limit(64, 1, 10_000)
    """Connections without an association at one time from one address."""

    tls_handshake: float = seconds(10.0, 0.1, 300)
    """Seconds for the TLS handshake. 10: a slow modality needs about two."""

    artim: float = seconds(15.0, 0.1, 300)
    """Seconds from the connection to a complete A-ASSOCIATE-RQ (the ARTIM timer, PS3.8 section 9.1.5)."""

    idle: float = seconds(300.0, 1, 86_400)
    """Seconds between messages before an association is aborted. Modalities keep
    one open between patients; five minutes are customary."""

    write_stall: float = seconds(60.0, 0.1, 3_600)
    """Seconds for which a peer may take nothing of what is sent to it."""

    response: float = seconds(300.0, 1, 86_400)
    """Seconds to wait for the answer to a request of ours; a receiver may be loading a tape."""


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

    connections: int = limit(512, 1, 100_000)
    """Connections of identified callers at one time."""

    connections_per_address: int = limit(128, 1, 100_000)
    """Connections of identified callers from one address, proxies apart. 128: a browser
    opens six, and a whole department may be behind one address."""

    pending: int = limit(256, 1, 100_000)
    """Connections without an identified caller at one time."""

    pending_per_address: int = limit(64, 1, 100_000)
    """Connections without an identified caller from one address."""

    header_bytes: int = limit(32 * KIB, 4 * KIB, MIB)
    """Bytes of a request's line and header. Real ones have one to four kB."""

    header: float = seconds(15.0, 0.5, 300)
    """Seconds from the connection, or the first byte of a request, to the end of its header."""

    idle: float = seconds(75.0, 1, 3_600)
    """Seconds between requests before a connection is closed."""

    write_stall: float = seconds(60.0, 0.5, 3_600)
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

    timeout: float = seconds(10.0, 0.1, 300)
    """Seconds for one attempt."""

    retry: float = seconds(1.0, 0.01, 3_600)
    """Seconds until an attempt that failed is made again; each pause is twice the one before."""

    retry_longest: float = seconds(3_600.0, 0.01, 86_400)
    """Seconds between two attempts at most. It is never given up: who comes back gets everything."""

    alert_after: float = seconds(600.0, 0, 604_800)
    """Seconds for which a receiver may fail until it is on record as an alert."""

    unsafe_loopback_receivers: tuple[str, ...] = ()
    """URLs on this machine that are called without TLS. For trying out: other programs here may read along."""
