"""Letters: what an owner is told, and told again, as plain text to be sent by whoever knows them.

Rule 1. The subject says nothing that helps an attacker: no address, no product, no
number. Rule 2. Every text is in one table, in English; a catalogue of another language
holds the same texts, and what it lacks is English. Rule 3. A letter is of one owner,
and says nothing of another's hosts. Rule 4. Who was told before is reminded: when that
was, and what is still there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from gettext import NullTranslations
from typing import Final

from leadglass import languages
from leadglass.errors import NotHere
from leadglass.survey.entries import Entry, Notice, owner_of
from leadglass.survey.findings import Finding
from leadglass.survey.recipes import RECIPES, Recipe
from leadglass.survey.register import Register
from leadglass.survey.scope import SurveyScope
from leadglass.survey.standing import TO_RETEST, Standing

TEXTS: Final[Mapping[str, str]] = {
    "subject": "Subject: Security notice: please confirm receipt",
    "subject again": "Subject: Reminder of a security notice: please answer",
    "greeting": "To {owner},",
    "why": "A survey of our network, allowed by {authorised_by}, found that systems you answer for are open to "
    "people who should not reach them. No patient's data was read.",
    "again": "This is a reminder. You know since {first} ({days} days ago) that systems you answer for are open to "
    "people who should not reach them. What is listed first below was still there when we last looked. No patient's "
    "data was read.",
    "new": "What was found:",
    "new besides": "What you were not told of yet:",
    "still": "What is still there:",
    "back": "What was closed before, and is back:",
    "claimed": "What is said to be closed; it is looked at again, and nothing is to be done until then:",
    "item": "- {where}: {title}\n  How bad: {severity}. Found first on {first_seen}. Reference {reference}.",
    "item again": "- {where}: {title}\n  How bad: {severity}. Known to you since {told}; seen again on {last_seen}. "
    "Reference {reference}.",
    "do": "What closes it (the full text, with settings by product, is in the survey's report):",
    "fix": "- {title}. {why}",
    "ask": "Please close it, and tell {contact} by which day. It is looked at again on {due}, and at 7, 30 and 60 "
    "days after this notice. If it has to stay open, somebody has to accept that in writing, until a day.",
    "ask again": "Please close it, or tell {contact} now by which day. It is looked at again on {due}. If it has to "
    "stay open, somebody has to accept that in writing, until a day.",
    "secret": "Send this letter on encrypted only: it names hosts that are open.",
    "file": "configuration file",
}
"""Each text by its name (``str.format``); all of them are in the catalogue for translators."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter.

    Parameters
    ----------
    subject : str
        Its first line.
    body : str
        The rest.
    is_reminder : bool
        Whether its owner was told before of something in it.
    """

    subject: str
    body: str
    is_reminder: bool = False

    @property
    def text(self) -> str:
        """Both, as a file."""
        return f"{self.subject}\n\n{self.body}\n"


@dataclass(frozen=True, slots=True)
class Owed:
    """What one owner has to close, from one vantage.

    Parameters
    ----------
    owner : str
        Who.
    contacts : tuple of str
        How to reach them.
    entries : tuple of Entry
        What is to be closed, or said to be closed.
    notice : Notice or None
        When they were told of what is still there: the first and the newest of those days.
    """

    owner: str
    contacts: tuple[str, ...]
    entries: tuple[Entry, ...]
    notice: Notice | None

    @property
    def untold(self) -> int:
        """How much of it they were not told of."""
        return sum(each.standing in {Standing.OPEN, Standing.REGRESSED} for each in self.entries)

    @property
    def still(self) -> int:
        """How much of it they were told of, and is there."""
        return sum(each.standing is Standing.TOLD for each in self.entries)

    @property
    def remind(self) -> date | None:
        """When they are reminded; None where nothing they were told of is there."""
        return self.notice.remind if self.notice is not None and self.still else None

    def is_due(self, today: date) -> bool:
        """Say whether a letter is to be written today: of something new, or as a reminder."""
        return self.untold > 0 or (self.remind is not None and self.remind <= today)


def owing(register: Register, vantage: str) -> list[Owed]:
    """Give every owner who has something to close, with most of it first; what nobody owns is left out."""
    assets, notices = register.assets(), register.notices()
    theirs: dict[str, list[Entry]] = {}
    contacts: dict[str, dict[str, None]] = {}
    for entry in register.entries(vantage):
        asset = owner_of(assets, entry.address, entry.port)
        if asset is None or not asset.owner or entry.standing not in TO_RETEST:
            continue
        theirs.setdefault(asset.owner, []).append(entry)
        if asset.contact:
            contacts.setdefault(asset.owner, {})[asset.contact] = None
    owed = [
        Owed(owner, tuple(contacts.get(owner, ())), tuple(entries), _told(entries, notices))
        for owner, entries in theirs.items()
    ]
    return sorted(owed, key=lambda each: (-len(each.entries), each.owner))


def _told(entries: Sequence[Entry], notices: Mapping[tuple[str, str], Notice]) -> Notice | None:
    """Give when an owner was told of what is still there, all of it together."""
    told = [notices[which] for each in entries if each.standing is Standing.TOLD
            and (which := (each.finding, each.vantage)) in notices]  # fmt: skip
    if not told:
        return None
    return Notice(min(each.first for each in told), max(each.last for each in told), max(each.count for each in told))


def owed_to(register: Register, owner: str, vantage: str) -> list[Entry]:
    """Give what an owner is to close; raises ``NotHere``."""
    found = next((each for each in owing(register, vantage) if each.owner == owner), None)
    if found is None:
        raise NotHere("Nothing that is open belongs to that owner. Assign hosts with: leadglass survey assign")
    return list(found.entries)


def to_tell(register: Register, owner: str) -> list[str]:
    """Give what an owner is told of by a letter, as ids of findings, from every vantage."""
    vantages = dict.fromkeys(each.vantage for each in register.entries())
    owed = (each for vantage in vantages for each in owing(register, vantage) if each.owner == owner)
    told = {Standing.OPEN, Standing.REGRESSED, Standing.TOLD}
    return list(dict.fromkeys(each.finding for one in owed for each in one.entries if each.standing in told))


def letter(
    scope: SurveyScope,
    entries: Sequence[Entry],
    found: Mapping[tuple[str, str], Finding],
    notices: Mapping[tuple[str, str], Notice],
    owner: str,
    today: date,
    *,
    language: str = languages.ENGLISH,
) -> Letter:
    """Write the letter to an owner: a notice, or a reminder where something in it was told of before.

    Parameters
    ----------
    scope : SurveyScope
        Who surveys, and whom to answer.
    entries : sequence of Entry
        What they are to close.
    found : mapping of (str, str) to Finding
        As they were made last (``Register.found``): how they are closed.
    notices : mapping of (str, str) to Notice
        When was told of what (``Register.notices``).
    owner : str
        To whom.
    today : date
        The day it is.
    language : str
        In which; what its catalogue lacks is English.
    """
    before = {which: each for which, each in notices.items() if each.first < today}
    writer = _Writer(languages.texts(languages.chosen(language)), before)
    told = _told(entries, before)
    groups: dict[Standing, list[Entry]] = {standing: [] for standing in Standing}
    for each in entries:  # what was told of today is this letter's own matter
        is_first = each.standing is Standing.TOLD and (each.finding, each.vantage) not in before
        groups[Standing.OPEN if is_first else each.standing].append(each)
    is_reminder = told is not None
    why = (
        writer.say("why", authorised_by=scope.authorised_by)
        if told is None
        else writer.say("again", first=told.first, days=(today - told.first).days)
    )
    due = max(min((each.due for each in entries if each.due is not None), default=today), today)
    parts = [
        writer.say("greeting", owner=owner),
        why,
        writer.listed("still", groups[Standing.TOLD]),
        writer.listed("back", groups[Standing.REGRESSED]),
        writer.listed("new besides" if is_reminder else "new", groups[Standing.OPEN]),
        writer.listed("claimed", groups[Standing.FIXED_UNVERIFIED]),
        writer.fixes(each for entry in entries for each in _fixes(entry, found)),
        writer.say("ask again" if is_reminder else "ask", contact=scope.contact, due=due),
        writer.say("secret"),
        scope.owner,
    ]
    subject = writer.say("subject again" if is_reminder else "subject")
    return Letter(subject, "\n\n".join(filter(None, parts)), is_reminder)


def _fixes(entry: Entry, found: Mapping[tuple[str, str], Finding]) -> tuple[str, ...]:
    finding = found.get((entry.finding, entry.vantage))
    return finding.fixes if finding is not None else ()


class _Writer:
    """Says the texts in a language."""

    def __init__(self, texts: NullTranslations, notices: Mapping[tuple[str, str], Notice]) -> None:
        self._texts = texts
        self._notices = notices

    def say(self, name: str, **values: object) -> str:
        """Give one text."""
        return self._texts.gettext(TEXTS[name]).format(**values)

    def listed(self, name: str, entries: Sequence[Entry]) -> str:
        """Give a list of findings under its heading; nothing where there are none."""
        return "\n".join([self.say(name), *map(self._item, entries)]) if entries else ""

    def _item(self, entry: Entry) -> str:
        notice = self._notices.get((entry.finding, entry.vantage)) if entry.standing is Standing.TOLD else None
        return self.say(
            "item" if notice is None else "item again",
            where=_where(entry) or self.say("file"),
            title=self._texts.gettext(entry.title),
            severity=self._texts.gettext(entry.severity.value),
            first_seen=entry.first_seen,
            last_seen=entry.last_seen,
            told=notice.first if notice else "",
            reference=entry.finding,
        )

    def fixes(self, ids: Iterable[str]) -> str:
        """Give how it is closed; nothing where no recipe is known."""
        say = self._texts.gettext
        recipes: dict[str, Recipe] = {each: RECIPES[each] for each in ids if each in RECIPES}
        listed = [self.say("fix", title=say(each.title), why=say(each.why)) for each in recipes.values()]
        return "\n".join([self.say("do"), *listed]) if listed else ""


def _where(entry: Entry) -> str:
    if not entry.address:
        return ""
    return f"[{entry.address}]:{entry.port}" if ":" in entry.address else f"{entry.address}:{entry.port}"
