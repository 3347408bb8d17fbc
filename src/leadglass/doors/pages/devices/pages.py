"""Every page of devices."""

from leadglass.doors.pages.devices import certificate, changing, listing, testing, wizard
from leadglass.doors.web.routes import Route, Services


def routes(services: Services) -> list[Route]:
    """Give the routes of this module; what has a name of its own comes before what names a device."""
    modules = (wizard, listing, changing, certificate, testing)
    return [route for module in modules for route in module.routes(services)]
