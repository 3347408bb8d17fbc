"""``share``: links by which somebody without an account sees some studies, or sends some in.

Rule: the link goes to stdout, alone and once, so that a script can pass it on; the
code that it asks for, and everything said about it, go to stderr.
"""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leadglass.doors.cli.options import application_of, data_option, duration, examples, json_option, study_uids
from leadglass.doors.cli.terminal import Terminal, cell, table
from leadglass.doors.cli.weblinks import share_url_of
from leadglass.doors.listed import share_as_json

if TYPE_CHECKING:
    from leadglass.config import Config
    from leadglass.identity.share import Share, ShareLock
    from leadglass.identity.shares import CreatedShare


@click.group("share")
def share_command() -> None:
    """Make and end links to studies, for people without an account.

    A link shows one study or a few, or takes some in. It is shown once, counts
    for a time, and is worth no more than whoever made it.
    """


def _expires(default: str) -> str:
    return f"How long it counts, as in 8h, 7d, 4w; {default}. [shares] longest_days in leadglass.toml says the most."


_LIFE = "[shares] default_days unless given"


@share_command.command(
    "create",
    epilog=examples(
        "leadglass share create --study 1.2.840.1 --pin",
        "leadglass share create --study 1.2.840.1 --study 1.2.840.2 --view masked --expires 2d",
        "leadglass share create --study 1.2.840.1 --view-only --once",
    ),
)
@click.option(
    "--study", "studies", required=True, multiple=True, metavar="UID", callback=study_uids,
    help="A study it shows; may be given several times.",
)  # fmt: skip
@click.option(
    "--view",
    type=click.Choice(["full", "masked"]),
    default="full",
    show_default=True,
    help="Whether who the studies are of is shown.",
)
@click.option("--view-only", is_flag=True, help="Pictures to look at, drawn by the archive; no original, no download.")
@click.option("--expires", metavar="TIME", callback=duration, help=_expires(_LIFE))
@click.option("--pin", is_flag=True, help="It asks for a PIN, which is printed once; pass it on another way.")
@click.option("--once", is_flag=True, help="It asks for a one-time code, which opens it once; pass it on another way.")
@click.option("--note", default="", metavar="TEXT", help="For the list; the recipient does not see it.")
@data_option
@json_option
@click.pass_context
def share_create(
    context: click.Context,
    studies: tuple[str, ...],
    view: str,
    expires: timedelta | None,
    note: str,
    data: Path,
    *,
    view_only: bool,
    pin: bool,
    once: bool,
    as_json: bool,
) -> None:
    """Make a link to studies and print it, and only it, on stdout."""
    terminal = Terminal()
    lock = _lock(pin=pin, once=once)
    with application_of(context).open(data) as opened:
        opened.archive.lend(opened.caller, studies)
        created = opened.open_shares().give(
            opened.caller,
            studies,
            is_masked=view == "masked",
            may_download=not view_only,
            life=expires,
            lock=lock,
            note=note,
        )
    gives = "pictures to look at" if view_only else "the original images"
    masked = ", who they are of kept back" if view == "masked" else ""
    _tell(terminal, opened.config, created, f"It gives {gives}{masked}", as_json=as_json)


@share_command.command(
    "receive", epilog=examples("leadglass share receive --note 'Practice B' --expires 30d --pin --files 2000")
)
@click.option("--note", required=True, metavar="TEXT", help="Who is to send; they see it.")
@click.option("--expires", metavar="TIME", callback=duration, help=_expires(_LIFE))
@click.option("--pin", is_flag=True, help="It asks for a PIN, which is printed once; pass it on another way.")
@click.option("--once", is_flag=True, help="It asks for a one-time code, which opens it once; pass it on another way.")
@click.option("--files", default=5_000, show_default=True, type=click.IntRange(1, 1_000_000), help="Files at most.")
@click.option("--gib", default=20, show_default=True, type=click.IntRange(1, 1_024), help="GiB at most.")
@data_option
@json_option
@click.pass_context
def share_receive(
    context: click.Context,
    note: str,
    expires: timedelta | None,
    files: int,
    gib: int,
    data: Path,
    *,
    pin: bool,
    once: bool,
    as_json: bool,
) -> None:
    """Make a link by which somebody sends studies into quarantine."""
    terminal = Terminal()
    lock = _lock(pin=pin, once=once)
    with application_of(context).open(data) as opened:
        created = opened.open_shares().receive(
            opened.caller, note=note, life=expires, lock=lock, most_files=files, most_octets=gib * 1024**3
        )
    _tell(terminal, opened.config, created, "What comes waits in quarantine", as_json=as_json)


@share_command.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that are over too.")
@data_option
@json_option
@click.pass_context
def share_list(context: click.Context, data: Path, *, everything: bool, as_json: bool) -> None:
    """List everybody's links; never what proves them."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        shares = opened.open_shares()
        now = shares.now
        listed = [each for each in shares.list(opened.caller, everybodys=True) if everything or each.counts(now)]
    if as_json:
        terminal.json([share_as_json(share, counts=share.counts(now)) for share in listed])
        return
    if not listed:
        terminal.tell("There is no link. Make one: leadglass share create --study UID")
        return
    shown = table("id", "what", "until", "made by", "opened", "note", fold=("note",))
    for share in listed:
        state = "" if share.counts(now) else (" (ended)" if share.ended else " (over)")
        shown.add_row(
            cell(share.id),
            cell(_what(share)),
            cell(f"{share.until:%Y-%m-%d %H:%M}{state}", "dim" if state else ""),
            cell(share.issuer),
            cell("never" if share.opened is None else f"{share.opened:%Y-%m-%d %H:%M}"),
            cell(share.note),
        )
    terminal.show(shown)


@share_command.command("revoke", epilog=examples("leadglass share revoke 5f0c9a1e77d24b18"))
@click.argument("id_", metavar="ID")
@data_option
@click.pass_context
def share_revoke(context: click.Context, id_: str, data: Path) -> None:
    """End a link, at once; a running server shows nothing by it from its next request on."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        share = opened.open_shares().revoke(opened.caller, id_)
    terminal.say(f"The link {share.id} does not open anything any more.")


def _lock(*, pin: bool, once: bool) -> "ShareLock":
    from leadglass.identity.share import ShareLock

    if pin and once:
        raise click.UsageError("Give --pin or --once, not both.")
    return ShareLock.PIN if pin else ShareLock.ONCE if once else ShareLock.NONE


def _tell(terminal: Terminal, config: "Config", created: "CreatedShare", what: str, *, as_json: bool) -> None:
    link, share = share_url_of(config, created), created.share
    if as_json:
        terminal.json({**share_as_json(share, counts=True), "link": link, "code": created.code})
        return
    terminal.say(link)
    terminal.tell(f"{what}, until {share.until:%Y-%m-%d %H:%M} UTC. End it: leadglass share revoke {share.id}")
    if not config.web.address:
        terminal.tell("Put the name in it by which people reach the archive, or write [web] address down.")
    if created.code:
        terminal.tell(
            f"It asks for this {created.share.lock.word}; tell it another way, by phone for example: {created.code}"
        )
    else:
        terminal.tell("Whoever has the link sees what it shows. To have it ask for a PIN, give --pin.", "yellow")
    terminal.tell("The link is shown this once and kept nowhere.")


def _what(share: "Share") -> str:
    if not share.studies:
        return f"receives, {share.files} of {share.most_files} files"
    count = "1 study" if len(share.studies) == 1 else f"{len(share.studies)} studies"
    return f"{count}{'' if share.may_download else ', look only'}{', masked' if share.is_masked else ''}"
