"""Letters: what an owner is told, as plain text to be sent by whoever knows them.

Rule 1. The subject says nothing that helps an attacker: no address, no product, no
number. Rule 2. Every text is in one table, by language; what a table lacks is English.
Rule 3. A letter is of one owner, and says nothing of another's hosts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from leadglass.errors import NotHere
from leadglass.survey.entries import Entry, owner_of
from leadglass.survey.recipes import RECIPES, Recipe
from leadglass.survey.register import Register
from leadglass.survey.scope import SurveyScope
from leadglass.survey.standing import TO_RETEST

ENGLISH: Final = "en"

TEXTS: Final[Mapping[str, Mapping[str, str]]] = {
    ENGLISH: {
        "subject": "Subject: Security notice: please confirm receipt",
        "greeting": "To {owner},",
        "why": "A survey of our network, allowed by {authorised_by}, found that systems you answer for are open to "
        "people who should not reach them. No patient's data was read.",
        "list": "What was found:",
        "item": "- {where}: {title}\n  How bad: {severity}. Found first on {first_seen}. Reference {reference}.",
        "do": "What closes it (the full text, with settings by product, is in the survey's report):",
        "fix": "- {title}. {why}",
        "ask": "Please close it, and tell {contact} by which day. It is looked at again on {due}, and at 7, 30 and 60 "
        "days after this notice. If it has to stay open, somebody has to accept that in writing, until a day.",
        "secret": "Send this letter on encrypted only: it names hosts that are open.",
        "end": "{sender}",
    },
}
"""Each text by its name, by language (``str.format``); a language is added by adding a table."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter.

    Parameters
    ----------
    subject : str
        Its first line.
    body : str
        The rest.
    """

    subject: str
    body: str

    @property
    def text(self) -> str:
        """Both, as a file."""
        return f"{self.subject}\n\n{self.body}\n"


def owed_to(register: Register, owner: str, vantage: str) -> list[Entry]:
    """Give what an owner is to close; raises ``NotHere``."""
    assets = register.assets()
    theirs: list[Entry] = []
    for entry in register.entries(vantage):
        asset = owner_of(assets, entry.address, entry.port)
        if asset is not None and asset.owner == owner and entry.standing in TO_RETEST:
            theirs.append(entry)
    if not theirs:
        raise NotHere("Nothing that is open belongs to that owner. Assign hosts with: leadglass survey assign")
    return theirs


def letter(
    scope: SurveyScope,
    entries: Sequence[Entry],
    fixes: Mapping[str, Sequence[str]],
    owner: str,
    today: date,
    *,
    language: str = ENGLISH,
) -> Letter:
    """Write the letter to an owner.

    Parameters
    ----------
    scope : SurveyScope
        Who surveys, and whom to answer.
    entries : sequence of Entry
        What they are to close.
    fixes : mapping of str to sequence of str
        Ids of recipes by finding.
    owner : str
        To whom.
    today : date
        The day it is.
    language : str
        In which; English where there is no such table.
    """
    texts = {**TEXTS[ENGLISH], **TEXTS.get(language, {})}
    recipes: dict[str, Recipe] = {}
    for entry in entries:
        for fix in fixes.get(entry.finding, ()):
            if fix in RECIPES:
                recipes[fix] = RECIPES[fix]
    due = min((each.due for each in entries if each.due is not None), default=today)
    listed = [
        texts["item"].format(
            where=_where(each),
            title=each.title,
            severity=each.severity.value,
            first_seen=each.first_seen,
            reference=each.finding,
        )
        for each in entries
    ]
    parts = [
        texts["greeting"].format(owner=owner),
        texts["why"].format(authorised_by=scope.authorised_by),
        "\n".join([texts["list"], *listed]),
    ]
    if recipes:
        fixed = [texts["fix"].format(title=each.title, why=each.why) for each in recipes.values()]
        parts.append("\n".join([texts["do"], *fixed]))
    parts += [
        texts["ask"].format(contact=scope.contact, due=max(due, today)),
        texts["secret"],
        texts["end"].format(sender=scope.owner),
    ]
    return Letter(texts["subject"], "\n\n".join(parts))


def _where(entry: Entry) -> str:
    if not entry.address:
        return "configuration file"
    return f"[{entry.address}]:{entry.port}" if ":" in entry.address else f"{entry.address}:{entry.port}"
