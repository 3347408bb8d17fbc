"""What the operator may set on the web door, and what a connection may cost."""

from dataclasses import dataclass
from typing import Final

from leadglass.identity.peers import IpNetwork

KIBI: Final = 1024
MEBI: Final = 1024 * KIBI


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLimits:
    """Limits of one listener; bytes and seconds."""

    connections: int = 512
    """connections of identified callers in total. One that is sent something large and takes nothing holds about 3.5
    MB; all together hold up to 256 MiB more for those that took it fast before."""

    connections_per_address: int = 128
    """connections of identified callers from one address. A browser opens six; a hospital may be behind one address."""

    pending: int = 256
    """connections without an identified caller in total; the oldest silent one of the noisiest address makes room."""

    pending_per_address: int = 64
    """connections without an identified caller from one address."""

    tls_handshake: float = 10.0
    """seconds from the first byte to the end of the handshake."""

    header_seconds: float = 15.0
    """seconds from the connection, or the first byte of a request, to the end of its header."""

    idle: float = 75.0
    """seconds between requests before a connection is closed. Browsers reuse one for about a minute."""

    header_bytes: int = 32 * KIBI
    """bytes of a request's line and header. Real ones have one to four kB; a QIDO query may be long."""

    header_fields: int = 100
    """fields of a request's header. Browsers send about 20."""

    body_bytes: int = 1 * MEBI
    """bytes of a request's body, where a route says nothing else: a form, a list of UIDs."""

    progress_window: float = 30.0
    """seconds in which a peer in the middle of a body has to send ``progress_bytes``."""

    progress_bytes: int = 16 * KIBI
    """bytes in each ``progress_window``, as on the DICOM wire."""

    write_stall: float = 60.0
    """seconds for which a peer may take nothing of what is sent to it."""

    drain: float = 5.0
    """seconds for which a body that nobody reads is taken and thrown away, so that its sender gets to read why."""

    pipelined: int = 16
    """requests that may wait behind the running one of a connection. Browsers send none ahead."""

    backlog: int = 1024
    """connections the kernel holds for us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Settings of the web door.

    Parameters
    ----------
    hosts : frozenset of str
        Lower-case host names and addresses (without port) that a request may be for.
    trusted_proxies : tuple of networks
        Whose word counts for the address of who asks.
    allowed_origins : frozenset of str
        Origins whose scripts may ask across sites.
    allowed_networks : tuple of networks
        Globally routable networks whose peers are not turned away.
    basic_auth_accounts : frozenset of str
        Service accounts that may use HTTP Basic.
    limits : WebLimits
        What a peer may cost.
    instance_bytes : int
        Most bytes of one instance, for STOW-RS.
    address : str
        How people reach the door, ``https://NAME:PORT``; empty when nobody said so.
    """

    hosts: frozenset[str] = frozenset({"localhost", "127.0.0.1", "::1"})
    trusted_proxies: tuple[IpNetwork, ...] = ()
    allowed_origins: frozenset[str] = frozenset()
    allowed_networks: tuple[IpNetwork, ...] = ()
    basic_auth_accounts: frozenset[str] = frozenset()
    limits: WebLimits = WebLimits()
    instance_bytes: int = 16 * 1024 * MEBI
    address: str = ""
