"""What the operator may set on the DIMSE door."""

from dataclasses import dataclass, field

from leadglass.jobs.pace import Pace

KIBI = 1024


@dataclass(frozen=True, slots=True)
class CommitmentSettings:
    """Settings of Storage Commitment.

    Parameters
    ----------
    references : int
        Most references of one request.
    open : int
        Most transactions of one device that are not reported yet.
    pace : Pace
        When a report that did not arrive is sent again, and until when.
    quiet : float
        Seconds without a word after which an association of the device is idle.
        Half a second: who waits for the report waits longer, and who goes on
        sending comes sooner.
    answer : float
        Seconds to wait for the answer to a report.
    checks : int
        Transactions whose objects are read at one time; storing goes on.
    reports : int
        Devices that are worked for at one time.
    """

    references: int = 20_000
    open: int = 50
    pace: Pace = field(default_factory=Pace)
    quiet: float = 0.5
    answer: float = 60.0
    checks: int = 2
    reports: int = 16


@dataclass(frozen=True, slots=True)
class DimseSettings:
    """Settings of the DIMSE door.

    Parameters
    ----------
    ae_title : str
        The archive's own AE title.
    private_storage : frozenset of str
        Private storage SOP classes to take in besides those of the Standard.
    private_syntaxes : frozenset of str
        Private transfer syntaxes to take in besides those of the Standard.
    associations : int
        Associations at one time of one device. Half of what an address may
        have: one device behind a gateway leaves room for the others.
    block : int
        Bytes moved between association and thread at a time. A hop costs about
        50 microseconds, which 512 KiB make negligible; more only costs memory
        for each association.
    intake : int
        Bytes of an arriving instance gathered for one hop: 1 MiB, so that a CT
        slice takes one, since each wakes two threads that want the same lock.
    identifier : int
        Most bytes of a request's identifier. Real ones have a few hundred; a
        list of 10,000 UIDs has 650 kB.
    matches : int
        Matches fetched and encoded in one hop of a C-FIND.
    slice : float
        Seconds of one such hop: then other queries get their turn.
    queries : int
        C-FINDs that work at one time; less than there are threads, so that
        storing goes on.
    patience : float
        Seconds for which a C-FIND may work without a match before it is
        answered as out of resources.
    pending : float
        Seconds between pending responses of a C-MOVE or C-GET. Short beside
        the 30 s after which common clients lose patience, long beside a slice.
    commitment : CommitmentSettings
        Those of Storage Commitment.
    """

    ae_title: str = "LEADGLASS"
    private_storage: frozenset[str] = frozenset()
    private_syntaxes: frozenset[str] = frozenset()
    associations: int = 64
    block: int = 512 * KIBI
    intake: int = 1024 * KIBI
    identifier: int = 1024 * KIBI
    matches: int = 64
    slice: float = 0.25
    queries: int = 4
    patience: float = 120.0
    pending: float = 1.0
    commitment: CommitmentSettings = field(default_factory=CommitmentSettings)
