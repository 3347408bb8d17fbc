"""The contract of a check: what it is, what it sends, and whom it asks.

Rule 1. A check is one file in ``checks/`` with a ``CHECK``; it is in the one list of
``checks/registry.py``, or it is not run. Rule 2. It goes no further than it needs to
prove its finding, and never further than its level. Rule 3. What it learns for others
it writes into ``Known``; what it proved it reports.
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final

from leadglass.errors import BadInput
from leadglass.survey.findings import Exposure, Finding, severity_of
from leadglass.survey.gate import Closed, Gate, Line
from leadglass.survey.scope import Address, Level, Vantage

DICOM_PORTS: Final = frozenset({104, 11112, 2761, 2762, 4242, 11113, 2345, 5678, 4006})
"""Where DICOM is looked for first; on any other open port it is looked for too."""


MOST_ASKED: Final = 120
"""Connections and requests that a check makes at an endpoint at most; none of ours needs half of that."""


@dataclass(slots=True)
class Known:
    """What is known of one endpoint by now. None: nobody looked yet.

    Only facts of our own making: names from tables, numbers, yes and no.
    """

    is_open: bool | None = None
    speaks_tls: bool | None = None
    """Whether a TLS handshake is answered."""
    wants_certificate: bool | None = None
    """Whether TLS asks for a certificate of ours and goes no further without."""
    tls: "Tls | None" = None
    """What its TLS is made of, where somebody looked."""
    dicom: "Dicom | None" = None
    """Set where DICOM is spoken, in the clear or in TLS."""
    http: "Http | None" = None
    """Set where HTTP is spoken."""
    service: str = ""
    """``ftp``, ``smb``, ``rsync``, ``nfs``, ``webdav``, ``ssh``, … where something else greets us."""
    is_odd: bool = False
    """It aborted or hung in a way that nothing should: no more is sent to it."""


@dataclass(slots=True)
class Dicom:
    """What is known of a DICOM endpoint."""

    in_tls: bool
    takes_strangers: bool | None = None
    """Whether it makes an association with random AE titles."""
    rejection: str = ""
    """Of our own words, by the three numbers of A-ASSOCIATE-RJ."""
    product: str = ""
    """From a table of implementation class UIDs; empty when unknown."""
    version: str = ""
    """Only digits and dots."""
    granted: tuple[str, ...] | None = None
    """Keywords of the services that were granted to a stranger; None where nobody asked."""
    answers_queries: bool | None = None
    called: str = ""
    """A called AE title of our table of published defaults that opened it; empty where any does."""
    grants_nonsense: bool | None = None
    """Whether a service that does not exist was granted."""
    signs: tuple[str, ...] = ()
    """Names, from a table, of what it is known to be no archive by."""


@dataclass(slots=True)
class Tls:
    """What TLS at an endpoint is made of: numbers, and names of the protocol."""

    version: str = ""
    """The newest that is spoken with us: ``TLSv1.3``, …"""
    suite: str = ""
    """What was agreed on then."""
    speaks_old: bool | None = None
    """Whether TLS 1.1 or older is spoken (RFC 8996 forbids it)."""
    takes_weak: bool | None = None
    """Whether a suite without forward secrecy or without AEAD is taken in TLS 1.2 (RFC 9325 4.2)."""
    days_left: int | None = None
    """Of its certificate; negative once it has expired."""
    days_valid: int = 0
    key: str = ""
    """``RSA 2048``, ``EC 256``, …"""
    is_self_signed: bool = False
    is_sha1: bool = False
    names_host: bool | None = None
    """Whether the certificate has the name or address we came by."""


@dataclass(slots=True)
class Http:
    """What is known of an HTTP endpoint."""

    in_tls: bool
    status: int
    product: str = ""
    """From a table: ``Orthanc``, ``dcm4chee``, …; empty when unknown."""
    version: str = ""
    asks_credentials: bool = False
    roots: tuple[str, ...] = ()
    """Paths from our table below which DICOMweb answers."""


@dataclass(slots=True)
class Visit:
    """One check at one endpoint.

    Parameters
    ----------
    check : Check
        What is done.
    gate : Gate
        Opens lines.
    address, port
        The endpoint.
    known : Known
        What is known of it.
    name : str
        The host's name in the scope, where it has one; for Server Name Indication.
    """

    check: "Check"
    gate: Gate
    address: Address
    port: int
    known: Known
    name: str = ""
    found: list[Finding] = field(default_factory=list[Finding])
    asked: int = 0
    """Connections and requests of this check; no more than ``MOST_ASKED``, whatever the peer leads to."""

    def count(self) -> None:
        """Count one; raises ``Closed`` where it is one too many."""
        self.asked += 1
        if self.asked > MOST_ASKED:
            raise Closed("The peer leads on and on.")

    @property
    def vantage(self) -> Vantage:
        """From where one looks."""
        return self.gate.scope.vantage

    @property
    def dicom(self) -> Dicom:
        """What is known of it as DICOM, for checks that apply only where it is spoken."""
        if self.known.dicom is None:
            raise BadInput("This check is made only where DICOM is spoken.")
        return self.known.dicom

    def connect(self, *, tls: ssl.SSLContext | None = None, act: str = "connect") -> AbstractAsyncContextManager[Line]:
        """Open a line to the endpoint; see ``Gate.connect``."""
        self.count()
        return self.gate.connect(
            self.address,
            self.port,
            self.check.id,
            tls=tls,
            server_hostname=self.name or None,
            act=act,
            is_new=self.known.is_open is None,
        )

    def report(
        self,
        exposure: Exposure,
        proof: Mapping[str, str | int] | None = None,
        *,
        title: str = "",
        in_tls: bool = False,
        default_credential: bool = False,
        password_in_clear: bool = False,
        not_tested: tuple[str, ...] = (),
        fixes: tuple[str, ...] = (),
        inferred: bool = False,
    ) -> None:
        """Report what was proved.

        Parameters
        ----------
        exposure : Exposure
            How far up the ladder.
        proof : mapping, optional
            What shows it.
        title : str
            The sentence, where it is not the check's own.
        in_tls : bool
            Whether it goes over TLS.
        default_credential : bool
            Whether a blank or default credential opened it.
        password_in_clear : bool
            Whether it asks for a password that crosses the network unencrypted.
        not_tested : tuple of str
            What was not tried, and why.
        fixes : tuple of str
            Recipes, where they are not the check's own.
        inferred : bool
            Whether it follows from a version.
        """
        self.found.append(
            Finding(
                check=self.check.id,
                address=self.address,
                port=self.port,
                transport="tls" if in_tls else "tcp",
                title=title or self.check.title,
                exposure=exposure,
                severity=severity_of(
                    exposure,
                    self.vantage,
                    in_clear=not in_tls,
                    default_credential=default_credential,
                    password_in_clear=password_in_clear,
                ),
                proof=dict(proof or {}),
                not_tested=not_tested,
                fixes=fixes or self.check.fixes,
                controls=self.check.controls,
                inferred=inferred,
            )
        )


@dataclass(frozen=True, slots=True)
class Check:
    """A check.

    Parameters
    ----------
    id : str
        ``dicom-strangers``: never used for another.
    title : str
        What is wrong where it finds something, in a sentence.
    level : Level
        The level it needs.
    sends : str
        What it sends, in a sentence, for who authorises it.
    fixes : tuple of str
        Ids of recipes (``recipes``), the best first.
    controls : tuple of str
        What asks for it.
    applies : callable
        Says of what is known of an endpoint whether there is something to do.
    run : callable
        Does it.
    """

    id: str
    title: str
    level: Level
    sends: str
    fixes: tuple[str, ...]
    controls: tuple[str, ...]
    applies: Callable[[Known, int], bool]
    run: Callable[[Visit], Awaitable[None]]
