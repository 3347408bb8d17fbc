"""A browser without scripts: cookies, forms with their hidden fields, and what it says of where a request comes from."""

import html
import re
from collections.abc import Callable

import httpx

from tests.peers.web import Web

GOOD = "violet tractor kneeling moss"
BETTER = "eleven quiet ferries at dawn"


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

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str) -> httpx.Response:
        """Open a page."""
        return self._show(self.client.get(path, headers={"Sec-Fetch-Site": "none"}))

    def send(self, action: str, **fields: str) -> httpx.Response:
        """Fill in the form that leads somewhere, with what is hidden in it, and follow where that leads."""
        form = self._form(action)
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
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
        return self.client.get("/").status_code == 200

    @property
    def csrf(self) -> str:
        """What the page's forms carry."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.page)
        assert found, self.page
        return found[1]

    @property
    def alert(self) -> str:
        """What the page says is wrong."""
        found = re.search(r'role="alert"[^>]*>(.*?)</p>', self.page, re.S)
        return html.unescape(found[1]) if found else ""

    def _form(self, action: str) -> str:
        for form in re.findall(r"<form.*?</form>", self.page, re.S):
            if f'action="{action}"' in form:
                return form
        raise AssertionError(f"no form leads to {action} on the page: {self.page}")

    def _show(self, answer: httpx.Response) -> httpx.Response:
        self.page, self.status = answer.text, answer.status_code
        return answer


AddPerson = Callable[..., str]


def add_person(web: Web, name: str, role: str = "radiologist", *scope: str, password: str = GOOD) -> str:
    """Make an account with a password; gives its name."""
    words = [part for each in scope for part in ("--scope", each)]
    done = web.leadglass.do("user", "add", name, "--role", role, *words)
    secret = done.strip().partition("#")[2]
    with web.client() as client:
        client.headers["Accept"] = "application/json"
        answer = client.post("/set-up", json={"secret": secret, "password": password})
        assert answer.status_code == 200, answer.text
    return name


def record_of(web: Web, action: str) -> list[dict[str, object]]:
    """Give what is on record of an action."""
    from tests.peers.leadglass import json_objects

    return [each for each in json_objects(web.leadglass.do("audit", "show", "--json")) if each["action"] == action]
