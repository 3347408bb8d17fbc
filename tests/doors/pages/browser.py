"""A browser without scripts: cookies, forms with their hidden fields, and the word of where a request comes from."""

import html
import re
from typing import Final, Self

import httpx

from leadglass.app import App
from leadglass.audit.event import Event
from leadglass.crypto.passphrase import Cost
from leadglass.identity.passwords import Passwords
from leadglass.identity.people import People
from leadglass.policy.roles import Role
from leadglass.policy.scope_words import parse_scope
from tests.peers.web import Web

GOOD = "violet tractor kneeling moss"
BETTER = "eleven quiet ferries at dawn"


_NAME = re.compile(r'\sname="([^"]+)"')
_VALUE = re.compile(r'\svalue="([^"]*)"')
_OPEN = re.compile(r'type="radio"|type="checkbox"(?![^>]*\schecked)')


class Browser:
    """Somebody at a browser.

    Parameters
    ----------
    web : Web
        A running archive.
    """

    def __init__(self, web: Web) -> None:
        self.client = web.client()
        self.client.headers.update({"Accept": "text/html,application/xhtml+xml", "User-Agent": "Browser of a test"})
        self.page = ""
        self.status = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str) -> httpx.Response:
        """Open a page."""
        answer = self.client.get(path, headers={"Sec-Fetch-Site": "none"})
        if answer.status_code == 303 and path == "/":  # one's work is elsewhere
            return self.get(answer.headers["Location"])
        return self._show(answer)

    def send(self, action: str, **fields: str) -> httpx.Response:
        """Fill in the form that leads somewhere, with what is hidden in it, and follow where that leads."""
        form = self._form(action)
        filled = [
            field
            for field in re.findall(r"<input[^>]*>", form)
            if 'type="radio"' not in field and not _OPEN.search(field)
        ]
        hidden = [(n[1], v[1]) for f in filled if (n := _NAME.search(f)) and (v := _VALUE.search(f))]
        known = {html.unescape(name): html.unescape(value) for name, value in hidden}
        shown = set(re.findall(r'name="([^"]+)"', form))
        assert set(fields) <= shown, f"the form has {shown}"
        return self.post(action, {**known, **fields})

    def post(self, path: str, fields: dict[str, str], *, site: str = "same-origin") -> httpx.Response:
        """Send a form as it is."""
        answer = self.client.post(path, data=fields, headers={"Sec-Fetch-Site": site})
        if answer.status_code == 303:
            return self.get(answer.headers["Location"])
        return self._show(answer)

    def sign_in(self, name: str, password: str = GOOD) -> httpx.Response:
        """Sign in at the page for it."""
        self.get("/sign-in")
        return self.send("/sign-in", name=name, password=password)

    @property
    def is_in(self) -> bool:
        """Whether the first page knows who is there."""
        return self.client.get("/home").status_code == 200

    @property
    def csrf(self) -> str:
        """What the page's forms carry."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.page)
        assert found, self.page
        return found[1]

    @property
    def alert(self) -> str:
        """What the page says is wrong."""
        found = re.search(r'role="alert"[^>]*>(.*?)</p>', self.page, re.DOTALL)
        return html.unescape(found[1]) if found else ""

    def _form(self, action: str) -> str:
        for form in re.findall(r"<form.*?</form>", self.page, re.DOTALL):
            if f'action="{action}"' in form:
                return form
        raise AssertionError(f"no form leads to {action} on the page: {self.page}")

    def _show(self, answer: httpx.Response) -> httpx.Response:
        self.page, self.status = answer.text, answer.status_code
        return answer


_CHEAP: Final = Cost(memory_kib=8 * 1024, passes=1, lanes=1)
"""What a guess costs until somebody signs in with the password, which is then hashed as the archive has it."""


def add_person(web: Web, name: str, role: str = "radiologist", *scope: str, password: str = GOOD) -> str:
    """Make an account with a password, unless it is there; gives its name."""
    with App().open(web.leadglass.data) as opened:
        people = People(opened.open_people().store, Passwords(_CHEAP))
        there = people.find(name)
        assert there is None or there.role is Role(role), "another test has somebody of this name"
        if there is None:
            people.add(opened.caller, name, Role(role), parse_scope(scope) if scope else None, password=password)
    return name


def records(web: Web, action: str) -> list[Event]:
    """Give what is on record of an action."""
    with App().open(web.leadglass.data) as opened:
        return [record.event for record in opened.audit.records() if record.event.action == action]
