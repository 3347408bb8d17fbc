"""What the command line needs of the archive, handed in by the composition root.

Rule: the commands know these few verbs and no concrete back room.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # names only: a help text must not wait for the parts to load
    import ssl

    from leadglass.archive.archive import Archive
    from leadglass.archive.brake_desk import BrakeDesk
    from leadglass.audit.log import AuditLog
    from leadglass.config import Config
    from leadglass.crypto.sources import Passphrases
    from leadglass.exposure.selfcheck import SelfCheck
    from leadglass.identity.accounts import Accounts
    from leadglass.identity.devices import Devices
    from leadglass.identity.own_tokens import OwnTokens
    from leadglass.identity.shares import Shares
    from leadglass.identity.tokens import Tokens
    from leadglass.jobs.queue import Queue
    from leadglass.keydesk import Desk
    from leadglass.keyring import Target
    from leadglass.policy.caller import Caller


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened archive, as the operating system's user may use it.

    Parameters
    ----------
    folder : Path
        The data folder.
    config : Config
        Its settings.
    caller : Caller
        The operating system's user.
    archive : Archive
        The archive, with this door's name in its records.
    audit : AuditLog
        The audit log.
    devices : Devices
        Who is enrolled.
    caller_named : callable
        Gives the caller an audit log's name stands for (``device:CT1``), with
        today's rights; raises ``NotHere``.
    open_jobs : callable
        Opens the queue of background work.
    client_tls : callable
        Gives what the archive reaches devices with over TLS; None while it has no certificate.
    open_exposure : callable
        Opens the self-check.
    open_brakes : callable
        Opens the desk of the brakes.
    open_tokens : callable
        Opens the tokens of programs.
    open_people : callable
        Opens the accounts of people.
    open_own_tokens : callable
        Opens the tokens of people.
    open_shares : callable
        Opens the links by which studies are shared.
    """

    folder: Path
    config: "Config"
    caller: "Caller"
    archive: "Archive"
    audit: "AuditLog"
    devices: "Devices"
    caller_named: "Callable[[str], Caller]"
    open_jobs: "Callable[[], Queue]"
    open_brakes: "Callable[[], BrakeDesk]"
    open_tokens: "Callable[[], Tokens]"
    open_people: "Callable[[], Accounts]"
    open_own_tokens: "Callable[[], OwnTokens]"
    open_shares: "Callable[[], Shares]"
    open_exposure: "Callable[[], SelfCheck]"
    client_tls: "Callable[[], ssl.SSLContext | None]"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says of a server; None leaves it to the settings."""

    dicom_tls: str | None = None
    dicom: str | None = None
    http: str | None = None
    ae_title: str | None = None
    log_level: int = logging.INFO


@dataclass(frozen=True, slots=True)
class Ready:
    """A door that has opened: its word and ``HOST:PORT``."""

    door: str
    address: str


class Application(Protocol):
    """The verbs of the composition root."""

    def ask_with(self, passphrases: "Passphrases | None") -> None:
        """Say where passphrases come from; None when nobody can be asked."""
        ...

    def initialise(self, data: Path, target: "Target | None" = None) -> bool:
        """Make a data folder of an empty one; says whether anything was done.

        Parameters
        ----------
        data : Path
            The data folder.
        target : Target, optional
            What is to open its key; by default as the settings say, or a file in it.

        Raises
        ------
        Misconfigured, Busy
        """
        ...

    def keys(self, data: Path) -> "Desk":
        """Give the desk where the key of a data folder is looked after."""
        ...

    def open(self, data: Path) -> AbstractContextManager[Opened]:
        """Open the archive in a data folder, beside a server if one runs.

        Raises
        ------
        Misconfigured, Corrupt, Busy
        """
        ...

    def serve(
        self, data: Path, wanted: Wanted, ready: Callable[[tuple[Ready, ...]], None], warn: Callable[[str], None]
    ) -> None:
        """Run the server until SIGTERM or SIGINT.

        Parameters
        ----------
        data : Path
            The data folder; an empty one is initialised.
        wanted : Wanted
            Where to listen.
        ready : callable
            Told once, when every door is open.
        warn : callable
            Told what the operator should know and that is no reason to stop.

        Raises
        ------
        Misconfigured, Corrupt, Busy
            When it refuses to start.
        """
        ...
