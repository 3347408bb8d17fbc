"""What is shown of a survey: which standing, whose, how bad.

Rule: a choice is in the address, so that it can be kept and sent; it names hosts and
parts of the house, and no patient is in any of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final
from urllib.parse import urlencode

from leadglass.followup import Endpoint, Overview
from leadglass.survey.entries import Entry
from leadglass.survey.findings import Severity
from leadglass.survey.standing import CLOSED, Standing

SHOWN: Final = {
    "open": "To be closed",
    "due": "Look again",
    "new": "New",
    "back": "Back",
    "gone": "Gone",
    "accepted": "Accepted",
    "closed": "Closed",
    "all": "All",
}
"""What may be shown, and what it is called; new, back and gone are of the newest survey."""

_LONGEST: Final = 100
_SEVERITIES: Final = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice.

    Parameters
    ----------
    show : str
        Which standing: a key of ``SHOWN``.
    text : str
        A part of an address, a unit, an owner or a contact.
    least : str
        The least severity.
    page : int
        Which page, from 1.
    """

    show: str = "open"
    text: str = ""
    least: str = ""
    page: int = 1

    def to_query(self) -> dict[str, str]:
        """Give it as an address has it, what is usual left out."""
        return {
            "show": "" if self.show == "open" else self.show,
            "text": self.text,
            "least": self.least,
            "page": "" if self.page <= 1 else str(self.page),
        }

    def address(self, **changes: str | int) -> str:
        """Give the address of the same choice, changed."""
        said = {name: value for name, value in replace(self, **changes).to_query().items() if value}  # pyright: ignore[reportArgumentType] - a field each
        return f"/survey?{urlencode(said)}" if said else "/survey"

    def of(self, overview: Overview, today: date) -> list[Endpoint]:
        """Give the endpoints with something that is meant, each with that alone."""
        rows: list[Endpoint] = []
        for each in overview.endpoints:
            entries = tuple(entry for entry in each.entries if self._means(entry, overview, today))
            if entries and self._says(each):
                rows.append(replace(each, entries=entries))
        return rows

    def _means(self, entry: Entry, overview: Overview, today: date) -> bool:
        if self.least and _SEVERITIES.index(entry.severity) < _SEVERITIES.index(Severity(self.least)):
            return False
        match self.show:
            case "due":
                return entry.due is not None and entry.due <= today
            case "new":
                return entry.finding in overview.new
            case "back":
                return entry.finding in overview.back
            case "gone":
                return entry.finding in overview.gone
            case "accepted":
                return entry.standing is Standing.ACCEPTED
            case "closed":
                return entry.standing in CLOSED
            case "all":
                return True
            case _:
                return entry.standing not in CLOSED and entry.standing is not Standing.ACCEPTED

    def _says(self, endpoint: Endpoint) -> bool:
        asset = endpoint.asset
        names = (asset.unit, asset.owner, asset.contact) if asset is not None else ()
        wanted = self.text.casefold()
        return not wanted or any(wanted in each.casefold() for each in (endpoint.where, *names))


def chosen(fields: Mapping[str, str]) -> Choice:
    """Read a choice from a form or an address; what it does not know is as if it were not there."""
    show, least, number = fields.get("show", ""), fields.get("least", ""), fields.get("page", "")
    text = "".join(each for each in fields.get("text", "").strip() if each.isprintable())
    return Choice(
        show=show if show in SHOWN else "open",
        text=text[:_LONGEST],
        least=least if least in {each.value for each in Severity} else "",
        page=int(number) if number.isascii() and number.isdigit() and 0 < len(number) < 7 else 1,
    )
