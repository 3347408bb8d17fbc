"""``key``: where the archive key is, and what becomes of it.

Rule 1. A secret is never shown, except the recovery copy that was asked for.
Rule 2. What an operator still has to do afterwards is said.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from leadglass.doors.cli.keyoptions import target_of, target_options
from leadglass.doors.cli.options import application_of, data_option, examples, json_option
from leadglass.doors.cli.terminal import Terminal

if TYPE_CHECKING:
    from leadglass.keydesk import KeyFacts

_OF_COPY: Final = "Passphrase of the recovery copy"
_COPY_OPTION: Final = "--recovery-passphrase-file"


@click.group("key")
def key_command() -> None:
    """Look after the archive key, the one secret that opens everything stored.

    It lies wrapped in DIR/keys/archive.wrapped. What opens it is one of: a key
    file (in DIR/keys, or elsewhere), a passphrase, an environment variable, or
    a credential of the service manager.
    """


@key_command.command("show")
@data_option
@json_option
@click.pass_context
def key_show(context: click.Context, data: Path, *, as_json: bool) -> None:
    """Say which key this archive has and what opens it; never the key. Needs no key itself."""
    terminal = Terminal()
    facts = application_of(context).keys(data).show()
    _say(facts, terminal, as_json=as_json)


def _say(facts: "KeyFacts", terminal: Terminal, *, as_json: bool = False) -> None:
    if as_json:
        terminal.json(
            {
                "key": facts.id,
                "source": facts.source.value,
                "where": facts.where,
                "made": facts.made,
                "rotated": facts.rotated or None,
                "locked": facts.locked,
                "settled": facts.is_settled,
            }
        )
        return
    terminal.say(f"archive key   {facts.id}")
    terminal.say(f"comes from    {facts.where}, since {facts.locked}")
    terminal.say(f"made          {facts.made}")
    terminal.say(f"rotated       {facts.rotated or 'never'}")
    if not facts.is_settled:
        terminal.tell("A change of the key was interrupted; the next command that opens the archive finishes it.")


@key_command.command("new", epilog=examples("leadglass key new --out unlock.key"))
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", required=True, help="The file to make."
)
@data_option
def key_new(out: Path, data: Path) -> None:
    """Make a secret for the environment or the credential store.

    It opens nothing until key move, or init, names it.
    """
    del data  # every command takes it; a secret belongs to no archive yet
    from leadglass.crypto import keyfile

    keyfile.create(out.expanduser(), keyfile.new_key())
    Terminal().say(f"{out} is made.")


@key_command.command(
    "move",
    epilog=examples(
        "leadglass key move --to passphrase",
        "leadglass key move --to file --file /mnt/key/leadglass.key",
        "leadglass key move --to credential --file unlock.key",
        "leadglass key move --to file",
    ),
)
@target_options("--to", "--file", is_needed=True)
@data_option
@click.pass_context
def key_move(
    context: click.Context, source: str, file: Path | None, new_passphrase_file: str | None, data: Path
) -> None:
    """Let something else open the archive key. At once; a server that runs goes on.

    The archive key stays the same, so nothing stored is touched, and who kept a
    copy of what opened it before AND of DIR/keys can still open it: rotate it
    when that may be so.
    """
    _move(context, data, source, file, new_passphrase_file)


def _move(context: click.Context, data: Path, source: str, file: Path | None, new_passphrase_file: str | None) -> None:
    desk = application_of(context).keys(data)
    desk.require_ready()
    target = target_of(source, file, new_passphrase_file)
    if target is None:
        raise click.UsageError("Name what is to open the key.")
    terminal = Terminal()
    _say(desk.move(target), terminal)
    terminal.tell(_AFTER.get(source, ""))


_AFTER: Final = {
    "file": "Keep a copy of the key file, apart from the images.",
    "passphrase": "Who forgets it has lost the archive. Keep a recovery copy: leadglass key export --out FILE",
    "environment": "LEADGLASS_ARCHIVE_KEY can be read by whoever may look into the process; a credential is better.",
    "credential": "Hand it over with LoadCredentialEncrypted=leadglass.archive.key:FILE, then destroy the clear copy.",
}


@key_command.command("passphrase", epilog=examples("leadglass key passphrase"))
@click.option(
    "--new-passphrase-file",
    metavar="FILE",
    help="Where the new passphrase is, if nobody is there to type it: a file, the number of an open descriptor, or "
    "- for standard input.",
)
@data_option
@click.pass_context
def key_passphrase(context: click.Context, new_passphrase_file: str | None, data: Path) -> None:
    """Set or change the passphrase: the same as key move --to passphrase."""
    _move(context, data, "passphrase", None, new_passphrase_file)


@key_command.command("rotate", epilog=examples("leadglass key rotate"))
@data_option
@json_option
@click.pass_context
def key_rotate(context: click.Context, data: Path, *, as_json: bool) -> None:
    """Make a new archive key, and seal the databases and wrap every study's key anew with it.

    Stop the server first. Objects are not touched. It needs room for a copy of
    the databases. It may be interrupted at any moment: the archive then has the
    old key or the new one, and the next command tidies up. A backup from before
    opens with the key, and what opened it, from before.
    """
    terminal = Terminal()
    with terminal.progress("Sealing anew") as told:
        before = 0

        def count(done: int, total: int) -> None:
            nonlocal before
            told(done, total, done - before)
            before = done

        facts = application_of(context).keys(data).rotate(count)
    _say(facts, terminal, as_json=as_json)
    terminal.tell("Recovery copies of the old key open this archive no more. Make a new one: leadglass key export")
    if facts.source.value != "file":
        terminal.tell(f"What opens it is as before ({facts.where}); change that too with: leadglass key move")


@key_command.command(
    "export",
    epilog=examples("leadglass key export --out /mnt/usb/recovery.json", "leadglass key export --paper | lpr"),
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="The file to make.")
@click.option("--paper", is_flag=True, help="Print it as lines to write down, NOT protected by a passphrase.")
@click.option("--recovery-passphrase-file", metavar="FILE", help="Where the recovery copy's passphrase is.")
@data_option
@click.pass_context
def key_export(
    context: click.Context, out: Path | None, recovery_passphrase_file: str | None, data: Path, *, paper: bool
) -> None:
    """Make a recovery copy of the archive key, for the safe.

    It opens the archive whatever becomes of the key file, the passphrase or the
    credential, until the key is rotated. With --out it is a file under a
    passphrase of its own; with --paper four lines that a person can type.
    """
    if (out is None) is not paper:
        raise click.UsageError("Name a file with --out, or say --paper.")
    if paper and recovery_passphrase_file is not None:
        raise click.UsageError("A recovery copy on paper has no passphrase.")
    from leadglass.doors.cli.passphrases import new_passphrase

    terminal = Terminal()
    desk = application_of(context).keys(data)
    desk.require_ready()
    passphrase = "" if paper else new_passphrase(recovery_passphrase_file, _OF_COPY, _COPY_OPTION)
    text = desk.export(out, passphrase)
    if out is None:
        terminal.say(text.rstrip())
        terminal.tell("Whoever has these lines and a copy of the archive has the images. Lock them away.")
    else:
        terminal.say(f"{out} is made. Keep it, and its passphrase, apart from the archive.")


@key_command.command("import", epilog=examples("leadglass key import recovery.json --to file"))
@click.argument("copy", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
@click.option("--recovery-passphrase-file", metavar="FILE", help="Where the recovery copy's passphrase is.")
@target_options("--to", "--file", is_needed=False)
@data_option
@click.pass_context
def key_import(
    context: click.Context,
    copy: Path,
    recovery_passphrase_file: str | None,
    source: str | None,
    file: Path | None,
    new_passphrase_file: str | None,
    data: Path,
) -> None:
    """Bring the archive key back from a recovery copy, when what opened it is lost.

    FILE is what key export made, or a file (mode 0600) with the four lines of
    the paper. Stop the server first.
    """
    from leadglass.doors.cli.passphrases import known_passphrase
    from leadglass.keyring import Target

    desk = application_of(context).keys(data)
    desk.require_ready(key=False)
    target = target_of(source, file, new_passphrase_file) or Target()
    terminal = Terminal()

    def passphrase() -> str:
        return known_passphrase(recovery_passphrase_file, _OF_COPY, _COPY_OPTION)

    _say(desk.restore(copy, passphrase, target), terminal)
    terminal.tell("Look through it now: leadglass fsck")
