"""Links into the web door, as the command line prints them.

Rule: the secret stands in the fragment, which no server, log or proxy gets to see.
"""

from typing import TYPE_CHECKING, Final

from leadglass.doors.cli.terminal import Terminal

if TYPE_CHECKING:
    from leadglass.config import Config
    from leadglass.identity.onetime import Link

DEFAULT_ADDRESS: Final = "127.0.0.1:8443"
"""Where the web door is when nothing is said."""


def address_of(config: "Config") -> str:
    """Give ``HOST:PORT`` of the web door, as the settings have it."""
    return config.listen.https or DEFAULT_ADDRESS


def tell_of_link(terminal: Terminal, config: "Config", link: "Link", *, address: str | None = None) -> None:
    """Print a link alone on stdout, and on stderr what it is good for."""
    terminal.say(f"https://{address or address_of(config)}{link.path}")
    terminal.tell(
        f"Whoever opens this link first is {link.name}: give it to them and nobody else. It counts once, until "
        f"{link.until:%Y-%m-%d %H:%M} UTC, and is kept nowhere."
    )
