"""The application behind the command line; with ``parts`` and ``serving`` the composition root.

Rule: these three name every concrete class, and nobody else does.
"""

from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

from leadglass import config as settings_file
from leadglass.archive.archive import Archive
from leadglass.audit.event import Outcome
from leadglass.crypto.ca import Authority
from leadglass.crypto.wrap import ArchiveKey
from leadglass.doors.cli.application import Opened, Ready, Wanted
from leadglass.folder import Folder
from leadglass.identity.named import caller_named
from leadglass.identity.os_user import command_line_caller
from leadglass.parts import make_signing_key, opened


class App:
    """The application behind the command line."""

    def initialise(self, data: Path) -> bool:
        """Make a data folder of an empty one; says whether anything was done."""
        folder = Folder(data.expanduser().absolute())
        config = settings_file.load(folder.path)

        def create() -> None:
            if not folder.archive_key.exists():
                ArchiveKey.create(folder.archive_key)
            if not (folder.keys / "audit.pem").exists():
                make_signing_key(folder.keys / "audit.pem")
            Authority.create(folder.ca_certificate, folder.keys / "ca.pem")
            with opened(folder, config) as parts:
                caller = command_line_caller()
                parts.record(Outcome.DONE, "init", "the data folder was initialised", by=str(caller))

        return folder.initialise(create)

    @contextmanager
    def open(self, data: Path) -> Generator[Opened]:
        """Open the archive in a data folder, beside a server if one runs."""
        folder = Folder(data.expanduser().absolute())
        folder.require_ready()
        config = settings_file.load(folder.path)
        with opened(folder, config) as parts:
            caller = command_line_caller()
            with closing(Archive(parts.vault, parts.audit, door="cli", window=config.audit.window)) as archive:
                yield Opened(
                    folder=folder.path,
                    config=config,
                    caller=caller,
                    archive=archive,
                    audit=parts.audit,
                    devices=parts.devices,
                    caller_named=lambda name: caller_named(name, parts.devices),
                    open_jobs=parts.open_jobs,
                )

    def serve(
        self, data: Path, wanted: Wanted, ready: Callable[[tuple[Ready, ...]], None], warn: Callable[[str], None]
    ) -> None:
        """Run the server until SIGTERM or SIGINT."""
        folder = Folder(data.expanduser().absolute())
        if self.initialise(data):
            warn(f"{folder.path} was empty and is initialised now.")
        folder.require_ready()
        folder.check_writable()
        config = settings_file.load(folder.path)
        with folder.serving(), opened(folder, config) as parts:
            from leadglass import serving  # only here: no other command waits for asyncio and the doors to load

            serving.run(parts, wanted, ready, warn)
