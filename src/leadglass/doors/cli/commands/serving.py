"""``init``, ``serve`` and ``demo``: the archive comes up.

Rule: what opens is announced, on stdout, when it can be used and not before.
"""

import logging
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
from click.core import ParameterSource

from leadglass.doors.cli.application import Ready, Wanted
from leadglass.doors.cli.keyoptions import target_of, target_options
from leadglass.doors.cli.options import ae_title, application_of, data_option, examples, json_option, named_data
from leadglass.doors.cli.terminal import Terminal
from leadglass.doors.cli.weblinks import first_link, until, url_of
from leadglass.errors import BadInput
from leadglass.startup import Endpoint, parse_endpoint


def _endpoint(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no address; an empty one closes the door."""
    if value:
        try:
            parse_endpoint(value)
        except BadInput as error:
            raise click.BadParameter(error.message) from error
    return value


def _check_ports(*doors: str | None) -> None:
    """Refuse two doors on one port."""
    seen: set[Endpoint] = set()
    for endpoint in map(parse_endpoint, filter(None, doors)):
        if endpoint.port and endpoint in seen:
            raise click.UsageError(f"Two doors cannot share {endpoint}. Give each its own port.")
        seen.add(endpoint)


def _announce(terminal: Terminal, *, as_json: bool) -> Callable[[tuple[Ready, ...]], None]:
    """Give what says that the doors are open."""

    def announce(doors: tuple[Ready, ...]) -> None:
        for door in doors:
            if as_json:
                terminal.json({"ready": door.door, "address": door.address}, indent=None)
            else:
                lane = " (plaintext)" if door.door == "dicom" else ""
                terminal.say(f"{door.door:<10} {door.address}{lane}", "red" if lane else "green")
        if as_json:
            terminal.json({"ready": "all"}, indent=None)
        terminal.flush()

    return announce


# --- init -----------------------------------------------------------------------


@click.command(
    "init",
    epilog=examples(
        "leadglass init --data /srv/leadglass",
        "leadglass init --key passphrase",
        "leadglass init --key file --key-file /mnt/key/leadglass.key",
        "leadglass key new --out unlock.key",
        "leadglass init --key credential --key-file unlock.key  # then: systemd-creds encrypt",
    ),
)
@target_options("--key", "--key-file", is_needed=False)
@data_option
@json_option
@click.pass_context
def init_command(
    context: click.Context,
    data: Path,
    source: str | None,
    file: Path | None,
    new_passphrase_file: str | None,
    *,
    as_json: bool,
) -> None:
    """Make keys, certificate authority and databases in an empty or new folder.

    It prints the one-time link by which the first administrator chooses a
    password. Keep a copy of DIR/keys elsewhere, and a recovery copy (leadglass key
    export): without the archive key nothing that is stored can ever be read.
    """
    terminal = Terminal()
    application = application_of(context)
    made = application.initialise(data, target_of(source, file, new_passphrase_file))
    with application.open(data) as opened:
        folder = opened.folder
        link = first_link(opened) if made else None
        set_up = None if link is None else url_of(opened.config, link)
    if as_json:
        said = {"data": str(folder), "ca": str(folder / "ca.pem"), "initialised": made, "set_up": set_up}
        terminal.json(said, indent=None)
        return
    terminal.say(f"{folder} is initialised." if made else f"{folder} was initialised already; nothing was changed.")
    if link is not None and set_up is not None:
        terminal.say(set_up)
        terminal.tell(f"That link sets up the first administrator, {link.name}. It counts once, until {until(link)}; ")
        terminal.tell(f"open it when the archive runs. Another one: leadglass user reset {link.name}")
    if made:
        terminal.tell(f"Keep a copy of {folder / 'keys'} in a safe place: without it nothing stored can be read.")
        terminal.tell("Next: leadglass key export --out FILE  # a recovery copy, to be kept elsewhere")
        terminal.tell("      leadglass device add AE --address CIDR --allow echo,store")
        terminal.tell("      leadglass device enroll AE --out DIR")
        terminal.tell("      leadglass serve --http HOST:PORT")
        if context.get_parameter_source("data") is ParameterSource.COMMANDLINE:
            terminal.tell(f"      each with --data {folder}, or with LEADGLASS_DATA={folder} in the environment")


# --- serve ----------------------------------------------------------------------


@click.command(
    "serve",
    epilog=examples(
        "leadglass serve",
        "leadglass serve --dicom-tls 10.1.2.3:2762",
        "leadglass serve --dicom 10.1.2.3:104  # for devices with a plaintext lane",
        "leadglass serve --http 10.1.2.3:443",
    ),
)
@click.option(
    "--dicom-tls",
    metavar="HOST:PORT",
    callback=_endpoint,
    help="DICOM over TLS.  [default: 127.0.0.1:2762, or leadglass.toml]",
)
@click.option(
    "--dicom",
    metavar="HOST:PORT",
    callback=_endpoint,
    help="DICOM without encryption, for devices with a plaintext lane.  [default: closed]",
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    callback=_endpoint,
    help="The web door: HTTPS, for DICOMweb and browsers.  [default: closed, or leadglass.toml]",
)
@click.option(
    "--ae", metavar="AE", callback=ae_title, help="The archive's own AE title.  [default: LEADGLASS, or leadglass.toml]"
)
@data_option
@json_option
@click.pass_context
def serve_command(
    context: click.Context,
    dicom_tls: str | None,
    dicom: str | None,
    http: str | None,
    ae: str | None,
    data: Path,
    *,
    as_json: bool,
) -> None:
    """Run the archive until SIGTERM or Ctrl-C. An empty data folder is initialised first.

    Port 0 is any free port. Each open door is announced on stdout, with --json
    as {"ready": "dicom-tls", "address": "127.0.0.1:2762"} and at the end
    {"ready": "all"}.

    Off loopback it starts only when somebody is enrolled for that door (a device;
    for the web an account or a token), and never on an address that the internet
    can reach unless leadglass.toml says so.
    """
    terminal = Terminal()
    _check_ports(dicom_tls, dicom, http)
    wanted = Wanted(dicom_tls=dicom_tls, dicom=dicom, http=http, ae_title=ae)
    application_of(context).serve(data, wanted, _announce(terminal, as_json=as_json), _warn(terminal))
    if terminal.is_watched:
        terminal.tell("Stopped.")


def _warn(terminal: Terminal) -> Callable[[str], None]:
    return lambda text: terminal.tell(f"leadglass: {text}", "yellow")


# --- demo -----------------------------------------------------------------------


@click.command("demo", epilog=examples("leadglass demo"))
@click.option(
    "--dicom-tls",
    metavar="HOST:PORT",
    callback=_endpoint,
    help="DICOM over TLS.  [default: 127.0.0.1:2762, or any free port]",
)
@click.option(
    "--dicom",
    metavar="HOST:PORT",
    callback=_endpoint,
    help="DICOM without encryption.  [default: 127.0.0.1:11112, or any free port]",
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    callback=_endpoint,
    help="The web door: HTTPS, for DICOMweb and browsers.  [default: 127.0.0.1:8443, or any free port]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    callback=named_data,
    help="Keep the archive in this new or empty folder, which is removed at the end too.  [default: a temporary one]",
)
@json_option
@click.pass_context
def demo_command(
    context: click.Context,
    dicom_tls: str | None,
    dicom: str | None,
    http: str | None,
    data: Path | None,
    *,
    as_json: bool,
) -> None:
    """Bring up a throw-away archive with sample studies, and print what to try.

    It is removed at the end (Ctrl-C or SIGTERM). Its patients are phantoms; no
    real person's data is in it. With --json what to try goes to stderr.
    """
    from leadglass.doors.cli import demo

    _check_ports(dicom_tls, dicom, http)
    terminal = Terminal()
    application = application_of(context)
    announce = _announce(terminal, as_json=as_json)
    if data is not None and data.exists() and any(data.iterdir()):
        # What is removed at the end must be nobody's.
        raise click.UsageError(f"{data} is not empty, and a demo's folder is removed at the end. Name a new folder.")
    with _throw_away(data) as (folder, data_folder):
        if not as_json:
            terminal.tell("Making an archive of phantoms …")
        made = demo.prepare(application, folder, data_folder)

        def ready(doors: tuple[Ready, ...]) -> None:
            announce(doors)
            say = terminal.tell if as_json else terminal.say
            say(demo.what_to_try(made, {door.door: door.address for door in doors}))
            terminal.flush()

        wanted = Wanted(
            dicom_tls=dicom_tls or demo.free_endpoint(2762),
            dicom=dicom or demo.free_endpoint(11112),
            http=http or demo.free_endpoint(8443),
            log_level=logging.WARNING,
        )
        application.serve(made.data, wanted, ready, _warn(terminal))
    if not as_json:
        terminal.tell("Stopped; everything is removed.")


@contextmanager
def _throw_away(data: Path | None) -> Generator[tuple[Path, Path]]:
    """Give a folder, and one for the archive, that go when the block ends, by SIGTERM too."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    folder = Path(tempfile.mkdtemp(prefix="leadglass-demo-"))
    data = folder / "data" if data is None else data
    try:
        yield folder, data
    finally:
        # A second signal must not leave half of it behind.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        shutil.rmtree(data, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)
