"""Assembly: the list of every module with routes, and the web door made of them.

Rule: a module is in the one list here, or its routes are not there.
"""

from collections.abc import Callable
from typing import Final

from leadglass.doors.dicomweb import (
    bulk,
    changes,
    deleting,
    events,
    frames,
    metadata,
    qido,
    rendered,
    stow,
    thumbnails,
    wado,
    wado_uri,
)
from leadglass.doors.dicomweb.about import About
from leadglass.doors.pages import page, statics
from leadglass.doors.pages.audit import browsing
from leadglass.doors.pages.devices import pages as devices
from leadglass.doors.pages.federation import passkeys, single_sign_on
from leadglass.doors.pages.managing import own_tokens, programs
from leadglass.doors.pages.managing import people as managed_people
from leadglass.doors.pages.menu import Menu
from leadglass.doors.pages.people import account, emergency, home, signing_in
from leadglass.doors.pages.quarantine import pages as quarantine
from leadglass.doors.pages.sharing import links, recipient
from leadglass.doors.pages.studies import listing
from leadglass.doors.pages.study import attributes, documents, look, study
from leadglass.doors.pages.survey import pages as survey
from leadglass.doors.pages.system import overview as system
from leadglass.doors.pages.upload import pages as upload
from leadglass.doors.pages.viewer import door as viewer
from leadglass.doors.threads import Threads
from leadglass.doors.web import health
from leadglass.doors.web.dispatch import WebApp
from leadglass.doors.web.evidence import AnyOf, Evidence
from leadglass.doors.web.gate import Gate
from leadglass.doors.web.routes import Route, Services
from leadglass.doors.web.strangers import Strangers
from leadglass.identity.visitors import Visitors

MODULES: Final[tuple[Callable[[Services], list[Route]], ...]] = (
    health.routes,
    stow.routes,
    metadata.routes,
    wado.routes,
    frames.routes,
    rendered.routes,
    thumbnails.routes,
    bulk.routes,
    wado_uri.routes,
    deleting.routes,
    qido.routes,
    changes.routes,
    events.routes,
    home.routes,
    signing_in.routes,
    account.routes,
    emergency.routes,
    upload.routes,
    quarantine.routes,
    statics.routes,
    viewer.routes,
    single_sign_on.routes,
    links.routes,
    recipient.routes,
    passkeys.routes,
    managed_people.routes,
    programs.routes,
    own_tokens.routes,
    browsing.routes,
    listing.routes,
    study.routes,
    attributes.routes,
    look.routes,
    documents.routes,
    devices.routes,
    system.routes,
    survey.routes,
)
"""What has routes; one line for each module."""


def routes_of(services: Services) -> list[Route]:
    """Give every route of the web door, and what it says of itself."""
    routes = [route for module in MODULES for route in module(services)]
    return [*routes, *About(routes).routes]


def assemble(
    services: Services,
    evidence: tuple[Evidence, ...],
    visitors: Visitors,
    clerk: Threads,
    strangers: Strangers | None = None,
) -> Gate:
    """Make the web door.

    Parameters
    ----------
    services : Services
        What handlers work with.
    evidence : tuple of Evidence
        Every kind there is, in the order in which they are asked.
    visitors : Visitors
        Who may speak; where refusals go on record.
    clerk : Threads
        Where they are put on record.
    strangers : Strangers, optional
        Counts who sends proxy fields and is no trusted proxy.
    """
    settings = services.settings
    routes = routes_of(services)
    app = WebApp(
        routes,
        AnyOf(*evidence),
        visitors,
        clerk,
        body_bytes=settings.limits.body_bytes,
        welcome=recipient.welcome(signing_in.welcome(services.people)),
        fault=page.fault_for_browsers,
        context={page.MENU: Menu(route.path for route in routes)},
    )
    return Gate(app, visitors, clerk, settings, strangers)
