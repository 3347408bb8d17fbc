"""What may be told of the record, of the brakes and of the self-check."""

from dataclasses import dataclass, field

from leadglass.sections.base import limit, seconds


@dataclass(frozen=True, slots=True)
class AuditCollector:
    """The syslog collector that every audit record is sent to (RFC 5425: TLS, both sides show a certificate)."""

    host: str = ""
    """Its name, as in its certificate. Empty: records are kept here only."""

    port: int = limit(6_514, 1, 65_535)
    """Its port. 6514 is the one registered for syslog over TLS."""

    authority: str = ""
    """PEM file with the certificate of the authority that signed the collector's. No public authority is trusted."""

    certificate: str = ""
    """PEM file (mode 0600) with the certificate and key to show. Empty: the archive's own, which `ca.pem` verifies."""

    format: str = "dicom-xml"
    """How records are written: `dicom-xml` (PS3.15 A.5), which collectors for medical devices read, or `json`."""

    facility: int = limit(10, 0, 23)
    """The syslog facility. 10: security/authorization, as PS3.15 A.6 asks for."""

    heartbeat: float = seconds(900.0, 1, 86_400)
    """Seconds after which the newest signed head is sent again though nothing is new, so that silence is noticed."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit log."""

    checkpoint_every: int = limit(1_024, 1, 1_024)
    """Records between two signed heads. 1,024: re-hashing so many at a start takes milliseconds."""

    window: float = seconds(300.0, 1, 86_400)
    """Seconds for which one opening record covers a caller's work on one study, over all its sessions."""

    checkpoint_folder: str = ""
    """A folder elsewhere, such as a share that can be written once, that gets each signed head as a file. Empty:
    none."""

    alert_after: float = seconds(600.0, 1, 86_400)
    """Seconds for which the collector or that folder may fail until it is on record as an alert."""

    collector: AuditCollector = field(default_factory=AuditCollector)
    """Where every record is sent as well."""


@dataclass(frozen=True, slots=True)
class BrakesOfPeople:
    """The same for one person, over all browsers and sessions; reading at a browser is reading."""

    queries_per_minute: int = limit(600, 10, 100_000)
    """Queries. 600: pages that refresh their lists ask 60 to 100 times."""

    listed_per_hour: int = limit(5_000, 10, 1_000_000)
    """Different patients and studies whose rows are handed out: as at a workstation."""

    listed_per_day: int = limit(20_000, 10, 1_000_000)
    """The same within a day."""

    studies_per_hour: int = limit(1_000, 10, 1_000_000)
    """Different studies retrieved: as at a workstation."""

    studies_per_day: int = limit(3_000, 10, 1_000_000)
    """The same within a day."""

    gib_per_hour: int = limit(200, 1, 1_000_000)
    """GiB retrieved: as at a workstation."""

    gib_per_day: int = limit(1_000, 1, 1_000_000)
    """The same within a day."""


@dataclass(frozen=True, slots=True)
class BrakesOfTokens:
    """The same for one token: a program that was given to one purpose."""

    queries_per_minute: int = limit(600, 10, 100_000)
    """Queries. 600: a viewer asks in bursts."""

    listed_per_hour: int = limit(1_000, 10, 1_000_000)
    """Different patients and studies whose rows are handed out. 1,000: the list of a day of a large house."""

    listed_per_day: int = limit(5_000, 10, 1_000_000)
    """The same within a day."""

    studies_per_hour: int = limit(200, 10, 1_000_000)
    """Different studies retrieved. 200: more than one purpose needs, less than a dump."""

    studies_per_day: int = limit(1_000, 10, 1_000_000)
    """The same within a day."""

    gib_per_hour: int = limit(50, 1, 1_000_000)
    """GiB retrieved. 50: 160 studies of 300 MB."""

    gib_per_day: int = limit(200, 1, 1_000_000)
    """The same within a day."""


@dataclass(frozen=True, slots=True)
class Brakes:
    """How much one device may be given within a time, so that a stolen key does not empty the archive.

    Past a limit its queries and retrievals are refused until the time has moved
    on. A device that is granted bulk (``leadglass device add --bulk``) is not
    braked; storing never is.
    """

    slow_from_percent: int = limit(50, 1, 100)
    """Share of each limit above which the device is slowed and the operator is
    told. 50: somebody can look before work is stopped."""

    delay_seconds: float = seconds(2.0, 0, 10)
    """Seconds for which one request or page of a device that is slowed is held up
    at most. 2: common clients lose patience after 30."""

    queries_per_minute: int = limit(600, 10, 100_000)
    """Queries. 600: a workstation that refreshes its lists and looks for priors
    asks 60 to 100 times; ten a second is no person."""

    listed_per_hour: int = limit(5_000, 10, 1_000_000)
    """Different patients and studies whose rows are handed out. 5,000: the list of
    a week of a large house."""

    listed_per_day: int = limit(20_000, 10, 1_000_000)
    """The same within a day. 20,000: 100 patients a day with 20 priors are 2,000,
    and some long lists besides."""

    studies_per_hour: int = limit(1_000, 10, 1_000_000)
    """Different studies retrieved. 1,000: priors that are fetched in the morning,
    5 for each of 100 patients, come to 500."""

    studies_per_day: int = limit(3_000, 10, 1_000_000)
    """The same within a day: three readers at one workstation."""

    gib_per_hour: int = limit(200, 1, 1_000_000)
    """GiB retrieved. 200: half of it is 340 studies of 300 MB; a line of 1 Gbit/s carries 400."""

    gib_per_day: int = limit(1_000, 1, 1_000_000)
    """The same within a day. 1,000: 100 studies of 300 MB an hour are 280 in ten hours."""

    people: BrakesOfPeople = field(default_factory=BrakesOfPeople)
    """Those of people."""

    tokens: BrakesOfTokens = field(default_factory=BrakesOfTokens)
    """Those of tokens."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """The self-check (`docs/exposure.md`): run at each start, by hand, and every day."""

    at: str = "03:30"
    """When, each day (UTC): `HH:MM`. At night: it takes a second, and somebody looks in the morning."""

    keep: int = limit(400, 2, 10_000)
    """Results that are kept. 400: a year of days."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The survey of your network (`docs/survey.md`) that the page *Survey* shows. The archive sends nothing for it."""

    scope: str = ""
    """The scope file that `leadglass survey run` is given: beside `leadglass.toml`, or with a full path. What is kept
    of its runs lies beside it, and has to belong to the user that the archive runs as. Empty: the page says how to
    begin."""

    geo: tuple[str, ...] = ()
    """Files of yours in the MaxMind DB format, likewise: then reports say the country and organisation."""
