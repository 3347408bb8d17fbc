"""Studies to share, and somebody who opens links: with a browser that runs no scripts."""

import html
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom.dataset import Dataset

from leadglass.app import App
from leadglass.identity.share import ShareKind, ShareLock
from tests.doors.cli.clihouse import file_of, image, uid
from tests.doors.pages.browser import Browser, add_person
from tests.peers.web import Web

FIRST, SECOND = 7101, 7102
"""Two studies of one patient."""
PATIENT = "SHARED-1"
NAME = "Shared^Sharon"


def study(number: int) -> str:
    """Give the UID of a study by its number."""
    return uid(number)


def stored(web: Web, *numbers: int, instances: int = 2, side: int = 64, **values: object) -> None:
    """Store studies of one patient."""
    with TemporaryDirectory() as folder:
        for number in numbers:
            for instance in range(1, instances + 1):
                said = {"PatientID": PATIENT, "PatientName": NAME, "StudyDescription": f"Study {number}", **values}
                made = image(number, 1, instance, **said)
                (Path(folder) / f"{number}-{instance}").write_bytes(file_of(drawn(made, number + instance, side)))
        web.leadglass.do("import", folder)


def drawn(made: Dataset, seed: int, side: int) -> Dataset:
    """Give an image some pixels."""
    made.Rows = made.Columns = side
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    made.PixelData = bytes((x * 4 + seed) % 256 for x in range(side)) * side
    return made


@dataclass(frozen=True, slots=True)
class Link:
    """A link as its maker got it."""

    id: str
    secret: str
    code: str

    @property
    def path(self) -> str:
        """Where it leads, without the secret."""
        return f"/s/{self.id}"


def made(browser: Browser, *numbers: int, **fields: str) -> Link:
    """Make a link at the page for it, signed in."""
    browser.get("/shares/new?" + "&".join(f"study={study(number)}" for number in numbers))
    assert browser.status == 200, browser.page
    answer = browser.send("/shares/new", **{"what": "look", "view": "full", "lock": "none", "days": "7", **fields})
    assert answer.status_code == 200, browser.page
    return link_on(browser.page)


def link_on(page: str) -> Link:
    """Read a link off the page that shows it."""
    found = re.search(r'id="link" value="https://[^/"]+/s/([0-9a-f]+)#([\w-]+)"', page)
    assert found, page
    code = re.search(r'<code id="code">([^<]*)</code>', page)
    return Link(found[1], found[2], html.unescape(code[1]).replace(" ", "") if code else "")


def opened(web: Web, link: Link, code: str = "") -> Browser:
    """Open a link in a browser of its own."""
    visitor = Browser(web)
    visitor.get(link.path)
    visitor.send(link.path, secret=link.secret)
    if code:
        visitor.send(link.path, code=code)
    return visitor


def issuer(web: Web, name: str = "sharer", role: str = "radiologist", *scope: str) -> Browser:
    """Give a browser in which somebody who makes links is signed in."""
    browser = Browser(web)
    browser.sign_in(add_person(web, name, role, *scope))
    return browser


def on_the_command_line(web: Web, name: str, *numbers: int) -> Link:
    """Make a link of somebody's without a browser, for tests of what it opens."""
    with App().open(web.leadglass.data) as opened:
        people = opened.open_people().people
        caller = people.caller_of(people.get(name), "local", "made by a test")
        created = opened.open_shares().give(caller, [study(n) for n in numbers], may_download=True)
    assert created.share.kind is ShareKind.GIVE
    assert created.share.lock is ShareLock.NONE
    return Link(created.share.id, created.secret, created.code)
