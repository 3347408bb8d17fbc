"""Does a blank or a published default password open a web page.

Rule 1. At most three tries an account, the first success is the last try, and it is
logged out. Rule 2. What is kept is the class of the pair, never the pair. Rule 3. A
success counts only where the same page was closed a moment before.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level
from leadglass.survey.speech.http import Form, Page, Talk, page

MOST_TRIES: Final = 3
"""An account: fewer than what locks one."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair that is tried.

    Parameters
    ----------
    kind : str
        Its class, which is all that is kept of it.
    user, password : str
        What is sent.
    """

    kind: str
    user: str = field(repr=False)
    password: str = field(repr=False)


_BLANK: Final = (Pair("blank", "", ""), Pair("blank password", "admin", ""))

_DEFAULTS: Final[Mapping[str, tuple[Pair, ...]]] = {
    "Orthanc": (Pair("vendor default", "orthanc", "orthanc"), Pair("vendor default", "demo", "demo")),
    "dcm4chee": (Pair("vendor default", "admin", "admin"), Pair("vendor default", "root", "changeit")),
    "Dicoogle": (Pair("vendor default", "dicoogle", "dicoogle"),),
    "XNAT": (Pair("vendor default", "admin", "admin"),),
    "ClearCanvas": (Pair("vendor default", "admin", "clearcanvas"),),
    "QNAP": (Pair("vendor default", "admin", "admin"),),
    "ReadyNAS": (Pair("vendor default", "admin", "password"),),
    "LinkStation": (Pair("vendor default", "admin", "password"),),
    "ASUSTOR": (Pair("vendor default", "admin", "admin"),),
    "": (Pair("common default", "admin", "admin"),),
}
"""What the products' own handbooks print. Published passwords are no secrets."""


def pairs(product: str) -> Iterator[Pair]:
    """Give what is tried of a product, at most so many an account."""
    tried: dict[str, int] = {}
    for pair in (*_BLANK, *_DEFAULTS.get(product, _DEFAULTS[""])):
        tried[pair.user] = tried.get(pair.user, 0) + 1
        if tried[pair.user] <= MOST_TRIES:
            yield pair


async def run(visit: Visit) -> None:
    """Try, by HTTP authentication or by the form that the page has."""
    known = visit.known.http
    if known is None:
        return
    async with Talk(visit, in_tls=known.in_tls) as talk:
        response, path = await talk.follow("/", act="GET /")
        form = page(response).sign_in
        if response.status == 401 and response.header("www-authenticate").lower().startswith("basic"):
            pair, by, parted = (
                await _by_header(talk, path, known.product),
                "HTTP authentication",
                "nothing to log out of",
            )
        elif form is not None and form.only_signs_in:
            pair, parted = await _by_form(talk, path, known.product)
            by = "a form"
        else:
            return
    if pair is None:
        return
    visit.report(
        Exposure.E4,
        {"class": pair.kind, "by": by, "product": known.product or "unknown", "logged out": parted},
        in_tls=known.in_tls,
        default_credential=True,
        not_tested=("What the account may do: the page after signing in was closed at once.",),
    )


async def _by_header(talk: Talk, path: str, product: str) -> Pair | None:
    for pair in pairs(product):
        token = b64encode(f"{pair.user}:{pair.password}".encode()).decode()
        answer = await talk.ask(
            "GET", path, act=f"GET with a {pair.kind}", headers={"Authorization": f"Basic {token}"}, most=0
        )
        if answer.status in {200, 204} or (answer.is_redirect and "login" not in answer.header("location").lower()):
            return pair
        if answer.status in {423, 429, 503}:
            return None
    return None


async def _by_form(talk: Talk, path: str, product: str) -> tuple[Pair | None, str]:
    for pair in pairs(product):
        # each try has a page, and a session, of its own: what stands hidden in a form is good for once
        shown = await talk.ask("GET", path, act="GET the login page")
        form = page(shown).sign_in
        target = talk.here(path, form.action or path) if form is not None and form.only_signs_in else None
        if form is None or target is None:
            return None, ""
        cookies = dict(shown.cookies)
        answer = await talk.ask(
            "POST",
            target,
            act=f"POST the login form with a {pair.kind}",
            headers={"Content-Type": "application/x-www-form-urlencoded"} | _cookie(cookies),
            body=_filled(form, pair),
        )
        if answer.status in {401, 403, 423, 429, 503}:
            if answer.status >= 423:
                return None, ""
            continue
        cookies |= answer.cookies
        after, inside = page(answer), target
        if answer.is_redirect:
            onwards = talk.here(target, answer.header("location"))
            if onwards is None:
                continue
            answer = await talk.ask("GET", onwards, act="GET the page after signing in", headers=_cookie(cookies))
            after, inside = page(answer), onwards
        if answer.status != 200 or after.sign_in is not None or not cookies:
            continue
        if not await _is_closed_without(talk, inside, target):
            continue
        return pair, await _log_out(talk, inside, after, cookies)
    return None, ""


async def _is_closed_without(talk: Talk, inside: str, target: str) -> bool:
    """Say whether the page after signing in is closed to who has not signed in."""
    if inside == target:
        return True  # it is the answer to the form itself: nobody else gets it
    answer = await talk.ask("GET", inside, act="GET that page without signing in")
    return answer.status in {401, 403} or answer.is_redirect or page(answer).sign_in is not None


async def _log_out(talk: Talk, inside: str, after: Page, cookies: Mapping[str, str]) -> str:
    words = ("logout", "logoff", "log-out", "signout", "sign-out", "sign_out", "abmelden")
    for link in after.links:
        path = talk.here(inside, link) if any(word in link.lower() for word in words) else None
        if path is not None:
            await talk.ask("GET", path, act="GET to log out", headers=_cookie(cookies), most=0)
            return "yes"
    for form in after.forms:
        path = talk.here(inside, form.action) if any(word in form.action.lower() for word in words) else None
        if path is not None:
            said = {"Content-Type": "application/x-www-form-urlencoded"} | _cookie(cookies)
            body = urlencode(form.fields).encode() or b"_="
            await talk.ask("POST", path, act="POST to log out", headers=said, body=body, most=0)
            return "yes"
    return "no way out was shown; the session was dropped"


def _filled(form: Form, pair: Pair) -> bytes:
    fields = dict(form.fields)
    if form.user:
        fields[form.user] = pair.user
    fields[form.password] = pair.password
    return urlencode(fields).encode()


def _cookie(cookies: Mapping[str, str]) -> dict[str, str]:
    said = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return {"Cookie": said} if said and said.isprintable() and said.isascii() else {}


def _applies(known: Known, _port: int) -> bool:
    return known.http is not None and (known.http.asks_credentials or known.http.status == 401)


CHECK = Check(
    id="web-credentials",
    title="A blank or a default password opens it.",
    level=Level.OPT_IN,
    sends="Blank and published default passwords, at most three tries an account, until one opens; then it logs out.",
    fixes=("default-passwords", "firewall-web"),
    controls=("HIPAA 164.312(d)", "GDPR 32(1)(b)", "NIST CSF PR.AA-01", "IEC 80001-2-2 PAUT"),
    applies=_applies,
    run=run,
)
