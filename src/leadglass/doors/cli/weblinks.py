"""Links into the web door, as the command line prints them."""

from typing import TYPE_CHECKING, Final

from leadglass.doors.cli.terminal import Terminal

if TYPE_CHECKING:
    from leadglass.config import Config
    from leadglass.doors.cli.application import Opened
    from leadglass.identity.onetime import Link
    from leadglass.identity.shares import CreatedShare

DEFAULT_ADDRESS: Final = "127.0.0.1:8443"
"""Where the web door is when nothing is said."""

FIRST: Final = "admin"
"""What the first administrator is called. Nothing opens this account but the link that its maker was shown."""


def url_of(config: "Config", link: "Link") -> str:
    """Give a link as it is opened: by the address people use, else by the one the settings listen on."""
    from leadglass.doors.links import path_of

    return f"{_origin(config)}{path_of(link)}"


def share_url_of(config: "Config", created: "CreatedShare") -> str:
    """Give a share link as it is opened, likewise."""
    from leadglass.doors.links import path_of_share

    return f"{_origin(config)}{path_of_share(created)}"


def _origin(config: "Config") -> str:
    from leadglass.doors.links import origin

    return origin(config.web.address, config.listen.https or DEFAULT_ADDRESS)


def until(link: "Link") -> str:
    """Say until when a link counts."""
    return f"{link.until:%Y-%m-%d %H:%M} UTC"


def first_link(opened: "Opened") -> "Link | None":
    """Make the first administrator of a new archive and the link that sets it up; None where there are people."""
    from leadglass.identity.onetime import Purpose
    from leadglass.policy.roles import Role

    accounts = opened.open_people()
    if accounts.people.list():
        return None
    person = accounts.people.add(opened.caller, FIRST, Role.ADMIN)
    return accounts.links.make(opened.caller, person, Purpose.SET_UP)


def tell_of_link(terminal: Terminal, config: "Config", link: "Link") -> None:
    """Print a link alone on stdout, and on stderr what it is good for."""
    terminal.say(url_of(config, link))
    if not config.web.address:
        terminal.tell("Put the name in it by which people reach the archive, or write [web] address down.")
    terminal.tell(
        f"Whoever opens this link first is {link.name}: give it to them and nobody else. It counts once, until "
        f"{until(link)}, and is kept nowhere."
    )
