"""The command ``leadglass``: its commands, and how each kind of error ends it.

Rule: exit 0 done, 1 refused or failed, 2 wrong usage, 3 done in part. One clear
sentence on stderr, never a traceback.
"""

import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, cast

import click

from leadglass.doors.cli.application import Application
from leadglass.doors.cli.options import remember_data, remember_passphrase_file
from leadglass.doors.cli.terminal import Terminal
from leadglass.errors import LeadglassError

_COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": ("serving", "Throw-away archive with sample studies; prints what to try"),
    "init": ("serving", "Make keys, certificate authority and databases"),
    "serve": ("serving", "Run the archive"),
    "device": ("device", "Enrol devices: who may do what from where"),
    "user": ("user", "Accounts of people: who may see and do what"),
    "breakglass": ("breakglass", "Review what was opened in an emergency"),
    "label": ("label", "Give studies labels, which scopes of people and tokens name"),
    "token": ("token", "Make and revoke tokens: what programs prove themselves with"),
    "share": ("share", "Links to studies for people without an account, and links to send some in by"),
    "brakes": ("brakes", "Look at the limits of masses, and lift one"),
    "import": ("files", "Bring files, folders, ZIPs and media in"),
    "export": ("files", "Write studies out, with a DICOMDIR"),
    "delete": ("files", "Delete a study, its key first"),
    "quarantine": ("keeping", "Decide over what contradicts the archive"),
    "commitment": ("commitment", "See what devices asked the archive to take responsibility for"),
    "exposure": ("exposure", "Look at this archive itself: what is open, weak or about to end"),
    "fsck": ("keeping", "Re-read everything and name what is wrong"),
    "key": ("key", "The archive key: where it is, move, rotate, copy, bring back"),
    "audit": ("audit", "Read and verify the audit log"),
    "policy": ("audit", "Explain a decision"),
    "survey": ("survey", "See what of your own network is open, and follow it until it is closed"),
}
"""Commands by name: the module that holds it, and its line in the list. Modules
are imported when needed, so that ``--help`` answers at once."""


class _Commands(click.Group):
    """The group that loads a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"leadglass.doors.cli.commands.{_COMMANDS[cmd_name][0]}")
        return cast(click.Command, getattr(module, f"{cmd_name}_command"))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Try it: leadglass demo",
)
@click.version_option(package_name="leadglass", prog_name="leadglass", message="%(prog)s %(version)s")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    expose_value=False,
    callback=remember_data,
    help="The folder that holds the archive; may stand after the command too.",
)
@click.option(
    "--passphrase-file",
    metavar="FILE",
    expose_value=False,
    callback=remember_passphrase_file,
    help="Where the archive's passphrase is, if it has one and nobody is there to type it: a file that is its "
    "owner's alone, the number of an open descriptor, or - for standard input; may stand after the command too.",
)
def leadglass() -> None:
    """Keep medical images (a PACS) without leaking them.

    Every command takes --data DIR, the folder that holds the archive. Without
    it LEADGLASS_DATA is used, and else ~/.local/share/leadglass.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 done in part.
    """


def run(arguments: Sequence[str], application: Callable[[], Application]) -> int:
    """Run one command and give its exit code.

    Parameters
    ----------
    arguments : sequence of str
        What was typed after ``leadglass``.
    application : callable
        Makes the application, once a command needs it.
    """
    terminal = Terminal()
    try:
        ended = leadglass.main(list(arguments), prog_name="leadglass", standalone_mode=False, obj=application)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        terminal.say(error.format_message())
        return 2
    except click.UsageError as error:
        terminal.tell(f"leadglass: {_in_words(error.format_message())}")
        if error.ctx is not None:
            terminal.tell(f"Try: {error.ctx.command_path} --help")
        return 2
    except click.ClickException as error:
        terminal.tell(f"leadglass: {error.format_message()}")
        return 1
    except (click.Abort, KeyboardInterrupt):
        terminal.tell("leadglass: stopped.")
        return 1
    except LeadglassError as error:
        terminal.tell(f"leadglass: {error.message}")
        return 1
    except BrokenPipeError:
        # Whoever read our output has left (`leadglass audit show | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the outermost border: a person gets a sentence, not a traceback
        terminal.tell(
            f"leadglass: a defect of Leadglass ({type(error).__name__}). "
            "Please report it; LEADGLASS_DEBUG=1 shows where it happened."
        )
        if os.environ.get("LEADGLASS_DEBUG"):
            traceback.print_exc()
        return 1
    return ended if isinstance(ended, int) else 0


def _in_words(message: str) -> str:
    """Give click's message without its own terms; it sets what there is to choose from in lines of its own."""
    message = re.sub(r" \(env var: '[A-Z_]*'\)", "", " ".join(message.split()))
    return message.replace("is not a valid integer range", "is not a whole number")
