"""The application behind the command line; with ``parts`` and ``serving`` the composition root.

Rule: these three name every concrete class, and nobody else does.
"""

import os
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from leadglass import config as settings_file
from leadglass.archive.archive import Archive
from leadglass.archive.brake_desk import BrakeDesk
from leadglass.audit.event import Event, Outcome
from leadglass.config import Config
from leadglass.crypto.passphrase import COST, Cost
from leadglass.crypto.sources import Given, Passphrases
from leadglass.crypto.wrap import ArchiveKey
from leadglass.doors.cli.application import Opened, Ready, Wanted
from leadglass.folder import Folder
from leadglass.hardening import keep_memory_private
from leadglass.identity.named import caller_named
from leadglass.identity.os_user import command_line_caller
from leadglass.identity.share_visits import PeopleWhoShare, caller_of_link
from leadglass.keydesk import Desk, expected_lock
from leadglass.keyring import Keyring, Target
from leadglass.parts import Parts, brake_limits, client_tls, make_keys, opened, reading_limits, sealed, shares_of

if TYPE_CHECKING:
    from leadglass.exposure.selfcheck import SelfCheck


class App:
    """The application behind the command line.

    Parameters
    ----------
    given : Given, optional
        The secrets that this process was handed; by default those of its
        environment, out of which they are taken.
    cost : Cost
        What a guess at a new passphrase is to cost.
    """

    def __init__(self, given: Given | None = None, *, cost: Cost = COST) -> None:
        self._given = Given.taken_from(os.environ) if given is None else given
        self._cost = cost

    def ask_with(self, passphrases: Passphrases | None) -> None:
        """Say where passphrases come from; None when nobody can be asked."""
        self._given.passphrases = passphrases

    def initialise(self, data: Path, target: Target | None = None) -> bool:
        """Make a data folder of an empty one; says whether anything was done."""
        folder = Folder(data.expanduser().absolute())
        config = settings_file.load(folder.path)

        def create() -> None:
            lock = expected_lock(config)
            key = self._keyring(folder).create(lock, target)
            make_keys(folder, key)
            with opened(folder, config, key) as parts:
                caller = command_line_caller()
                parts.record(Outcome.DONE, "init", "the data folder was initialised", by=str(caller))

        return folder.initialise(create)

    def keys(self, data: Path) -> Desk:
        """Give the desk where the key of a data folder is looked after."""
        folder = Folder(data.expanduser().absolute())

        @contextmanager
        def recording(key: ArchiveKey) -> Generator[Callable[[Event], int]]:
            with opened(folder, settings_file.load(folder.path), key) as parts:
                yield parts.audit.append

        return Desk(folder, self._keyring(folder), command_line_caller(), recording)

    def _keyring(self, folder: Folder) -> Keyring:
        return Keyring(folder, self._given, lambda: sealed(folder), cost=self._cost)

    @contextmanager
    def _unlocked(self, folder: Folder, config: Config) -> Generator[Parts]:
        """Open an initialised folder with its key, and keep the key from being rotated meanwhile."""
        said = self.keys(folder.path).settle()
        with folder.using():
            key = self._keyring(folder).unlock(expected_lock(config))
            with opened(folder, config, key) as parts:
                if said:
                    parts.record(Outcome.ALERT, "key", said, key=key.id)
                yield parts

    @contextmanager
    def open(self, data: Path) -> Generator[Opened]:
        """Open the archive in a data folder, beside a server if one runs."""
        folder = Folder(data.expanduser().absolute())
        folder.require_ready()
        config = settings_file.load(folder.path)
        with self._unlocked(folder, config) as parts:
            caller = command_line_caller()
            limits = reading_limits(config)
            with closing(
                Archive(
                    parts.vault,
                    parts.audit,
                    door="cli",
                    window=config.audit.window,
                    limits=limits,
                    forget=lambda uid: shares_of(parts, "cli").deleted(uid),
                )
            ) as archive:
                yield Opened(
                    folder=folder.path,
                    config=config,
                    caller=caller,
                    archive=archive,
                    audit=parts.audit,
                    devices=parts.devices,
                    caller_named=lambda name: caller_named(
                        name,
                        parts.devices,
                        parts.open_tokens,
                        lambda: parts.open_people("cli").people,
                        lambda: parts.open_own_tokens("cli"),
                        lambda link: caller_of_link(
                            parts.open_shares("cli"), PeopleWhoShare(parts.open_people("cli").people), link
                        ),
                    ),
                    open_jobs=parts.open_jobs,
                    open_tokens=parts.open_tokens,
                    open_people=lambda: parts.open_people("cli"),
                    open_own_tokens=lambda: parts.open_own_tokens("cli"),
                    open_shares=lambda: shares_of(parts, "cli"),
                    open_exposure=lambda: _self_check(parts),
                    client_tls=lambda: client_tls(parts),
                    open_brakes=lambda: BrakeDesk(parts.open_brakes(), brake_limits(config), parts.audit),
                )

    def serve(
        self, data: Path, wanted: Wanted, ready: Callable[[tuple[Ready, ...]], None], warn: Callable[[str], None]
    ) -> None:
        """Run the server until SIGTERM or SIGINT."""
        folder = Folder(data.expanduser().absolute())
        if self.initialise(data):
            warn(f"{folder.path} was empty and is initialised now. For people: leadglass user add NAME --role admin")
        folder.require_ready()
        folder.check_writable()
        config = settings_file.load(folder.path)
        keep_memory_private()
        with self._unlocked(folder, config) as parts, folder.serving():
            from leadglass import serving  # only here: no other command waits for asyncio and the doors to load

            serving.run(parts, wanted, ready, warn)


def _self_check(parts: Parts) -> "SelfCheck":
    from leadglass.gathering import self_check  # only where it is wanted: it looks at everything

    return self_check(parts, "cli")
