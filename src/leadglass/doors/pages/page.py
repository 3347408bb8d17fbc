"""Pages: templates become answers, under a policy that lets nothing run or load but our own files.

Rule 1. Every value is escaped; no template has a script, a style or an event
inside. Rule 2. Every page works without scripts. Rule 3. A page is kept by no
cache: the next person at the machine sees nothing of it. Rule 4. What a template
says to people is marked as a text to translate (``_("…")``, ``{% trans %}``).
"""

import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Final, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from leadglass import languages
from leadglass.doors.pages.menu import Menu
from leadglass.doors.web.cookie import csrf_token
from leadglass.doors.web.forms import wants_page
from leadglass.doors.web.problem import problem_of
from leadglass.errors import Kind, LeadglassError
from leadglass.policy.caller import Caller

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)

_PACKAGE: Final = "leadglass.doors.pages"

FIELDS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": PAGE_POLICY,
    # Not no-referrer: with it a browser says "Origin: null" of our own forms.
    "Referrer-Policy": "same-origin",
}


MENU: Final = "leadglass.menu"
"""Where a request's scope has the menu."""


@cache
def environment(language: str) -> Environment:
    """Give what templates are made with, in a language."""
    made = Environment(
        loader=PackageLoader(_PACKAGE, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    languages.speak(made, language)
    made.filters["octets"] = octets
    made.filters["by_parts"] = by_parts
    return made


def octets(size: int) -> str:
    """Say a size in the unit that suits it: ``526 kB``."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1_000:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1_000
    return f"{value:.1f} TB"


def by_parts(path: str) -> Markup:
    """Give a path that is broken between its parts, and within one only where it is too long for a line.

    A network, ``10.1.2.0/24``, stays in one piece.
    """
    return Markup("/<wbr>").join(re.split(r"(?<!\d)/|/(?!\d)", path))


def page(
    request: Request,
    template: str,
    *,
    caller: Caller | None = None,
    status: int = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
    **values: object,
) -> Response:
    """Give a page.

    A template is given, besides ``values``: ``caller``; ``csrf``, what its forms
    carry; ``menu``, the entries for the caller; ``here``, the request's path;
    ``language``, that of its texts.

    Parameters
    ----------
    request : Request
        What is answered.
    template : str
        Its template.
    caller : Caller, optional
        Who is signed in.
    status : int
        The status code.
    headers : mapping of str to str, optional
        More fields.
    **values
        What the template shows.
    """
    csrf = csrf_token(request, caller) if caller is not None else ""
    menu = cast("Menu | None", request.scope.get(MENU))
    entries = menu.of(caller) if menu is not None and caller is not None else ()
    language = languages.wanted(request.headers.get("accept-language", ""))
    text = (
        environment(language)
        .get_template(template)
        .render(caller=caller, csrf=csrf, menu=entries, here=request.url.path, language=language, **values)
    )
    said = {**FIELDS, "Content-Language": language, "Vary": "Accept-Language, Cookie", **(headers or {})}
    return Response(text, status, said, "text/html")


def see_other(path: str) -> Response:
    """Send a browser on after a form, so that loading again sends nothing again."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


_TITLES: Final = {
    Kind.DENIED: "That is not permitted",
    Kind.NOT_HERE: "There is nothing here",
    Kind.BUSY: "Not at this moment",
    Kind.THROTTLED: "Please wait",
}

_WHAT_NEXT: Final = {
    Kind.DENIED: "Your account does not have this right. If your work needs it, ask whoever runs this archive; its "
    "audit log says why.",
    Kind.NOT_HERE: "The address may be mistyped, or it names something that you may not see.",
}
"""What is said where a problem says nothing but its name."""


def fault_for_browsers(request: Request, error: LeadglassError, caller: Caller | None) -> Response | None:
    """Give the page of what went wrong at any path, with what may be said of it; None for programs."""
    if not wants_page(request):
        return None
    problem = problem_of(error)
    return page(
        request,
        "fault.html",
        caller=caller,
        status=problem.status,
        headers=problem.headers,
        title=_TITLES.get(error.kind, "That did not work"),
        detail=problem.detail or _WHAT_NEXT.get(error.kind, ""),
    )
