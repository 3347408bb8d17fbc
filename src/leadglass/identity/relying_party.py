"""The archive's public address: what passkeys are bound to, and where a provider sends people back to.

Rule: it is HTTPS, without a path, and written as a browser writes it; passkeys need
a name in it.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

from leadglass.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """What passkeys are bound to: a host name, and the address of our pages at it.

    Parameters
    ----------
    id : str
        The host's name (RP ID).
    origin : str
        The address without a path.
    """

    id: str
    origin: str

    @classmethod
    def of(cls, address: str) -> Self:
        """Read it from the public address of the archive.

        Raises
        ------
        Misconfigured
            When the address has no name: browsers bind no passkey to a bare IP address.
        """
        origin = public_origin(address)
        host = str(urlsplit(origin).hostname)
        if is_bare(address):
            raise Misconfigured(
                f"Passkeys need a name: browsers bind none to an IP address such as {host}. "
                "Give the archive a name, and write it in [web] address."
            )
        return cls(host, origin)


def public_origin(address: str) -> str:
    """Read the public address of the archive: scheme, name and port, as a browser writes them.

    Raises
    ------
    Misconfigured
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if parts.scheme != "https" or not host or parts.username or parts.path.strip("/") or parts.query or parts.fragment:
        raise Misconfigured("[web] address is to be https://NAME or https://NAME:PORT, as people reach the archive.")
    shown = f"[{host}]" if ":" in host else host
    return f"https://{shown}" if port in {None, 443} else f"https://{shown}:{port}"


def is_bare(address: str) -> bool:
    """Say whether a public address names no host but an IP address; raises ``Misconfigured``."""
    try:
        ip_address(str(urlsplit(public_origin(address)).hostname))
    except ValueError:
        return False
    return True
