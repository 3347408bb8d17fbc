"""One archive's first day, in a real browser, from the set-up link to the audit of everything that was done.

Rule: nobody does anything here but what the pages offer; what each page has to be
(no serious fault of access, nothing against its policy, no host but ours) is checked
on the first visit of each.
"""

import re
import ssl
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, cast

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect
from pyotp.totp import TOTP

from leadglass.doors.pages.viewer.site import read_site
from tests.peers import phantoms
from tests.peers.browser import Visit, chromium, visiting
from tests.peers.leadglass import Leadglass
from tests.peers.running import free_port
from tests.peers.viewer import Viewer
from tests.peers.web import serving

PASSWORD: Final = "seven quiet herons cross the estuary"
NAME, PATIENT = "Quill^Ada", "STORY-1"

STATUSES: Final = """(paths) => Promise.all(paths.map(async (each) =>
  (await fetch(each, { headers: { Accept: "text/html" }, redirect: "manual" })).status))"""
"""What the page of whoever opened a link is answered."""


@dataclass
class House:
    """A fresh archive as people reach it, and whoever sits at a browser.

    Parameters
    ----------
    url : str
        Its address, with a name, as passkeys need it.
    browser : Browser
        One browser, in which everybody has a profile of their own.
    first_link : str
        What ``leadglass init`` printed for the first administrator.
    """

    url: str
    browser: Chromium
    first_link: str
    visits: list[Visit] = field(default_factory=list[Visit])
    looked_at: set[str] = field(default_factory=set[str])
    stack: ExitStack = field(default_factory=ExitStack)

    def visit(self) -> Visit:
        """Give somebody with a clean profile."""
        visit = self.stack.enter_context(visiting(self.browser, self.url))
        self.visits.append(visit)
        return visit

    def look(self, visit: Visit, name: str) -> None:
        """Check what a page has to be, the first time that it is seen."""
        if name not in self.looked_at:
            self.looked_at.add(name)
            assert visit.faults_of_access() == [], name
            assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name


@pytest.fixture
def house(tmp_path: Path) -> Generator[House]:
    if read_site() is None:
        pytest.skip("The viewer was left out of this build (LEADGLASS_NO_VIEWER).")
    port = free_port()
    url = f"https://localhost:{port}"
    (tmp_path / "archive").mkdir()
    said = Leadglass(tmp_path / "archive").do("init")
    found = re.search(r"(/set-up#\S+)", said)
    assert found, said
    settings = f'[web]\naddress = "{url}"\n'
    with serving(tmp_path / "archive", "--http", f"127.0.0.1:{port}", settings=settings):
        certificate = tmp_path / "shown.pem"
        certificate.write_text(ssl.get_server_certificate(("127.0.0.1", port)))
        with chromium(certificate) as browser, ExitStack() as stack:
            yield House(url, browser, found[1], stack=stack)


def press(page: Page, text: str) -> None:
    """Press the button that says so."""
    page.get_by_role("button", name=text, exact=True).click()


def go(page: Page, name: str, role: Literal["button", "link"] = "button") -> None:
    """Press what leads to another page, and wait until it is there."""
    with page.expect_navigation():
        page.get_by_role(role, name=name, exact=True).first.click()


def set_up(house: House, link: str) -> Visit:
    """Open a set-up link in a clean profile and choose a password."""
    visit = house.visit()
    page = visit.page
    page.goto(link)
    house.look(visit, "set up")
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    go(page, "Choose it and sign in")
    assert "/account" not in page.url, "one's work comes first"
    page.goto("/account")
    house.look(visit, "account")
    return visit


def add(house: House, admin: Visit, name: str, role: str) -> str:
    """Make an account at the page for it; gives its set-up link."""
    page = admin.page
    page.goto("/people")
    house.look(admin, "people")
    go(page, "Add a person", "link")
    house.look(admin, "new person")
    page.fill("#name", name)
    page.check(f"#role-{role}")
    go(page, "Make the account")
    page.wait_for_selector("#link")
    house.look(admin, "set-up link")
    return page.input_value("#link")


def sign_out(visit: Visit) -> None:
    go(visit.page, "Sign out")
    visit.page.wait_for_url("**/sign-in")


def with_app(house: House, visit: Visit, name: str) -> None:
    """Add an authenticator app, and sign in with it."""
    page = visit.page
    page.fill("#app-password", PASSWORD)
    go(page, "Add an app")
    house.look(visit, "app")
    page.get_by_text("It cannot scan?").click()
    phone = TOTP(page.locator("code.key").inner_text().replace(" ", ""))
    code = phone.now()
    page.fill("#code", code)
    go(page, "Check it")
    expect(page.locator(".codes li").first).to_be_visible()
    house.look(visit, "codes")
    page.click("text=I have kept them")
    sign_out(visit)
    house.look(visit, "sign in")
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    go(page, "Sign in")
    page.fill("#code", code)
    go(page, "Go on")
    assert page.locator("[role=alert]").inner_text(), "a code that was seen opens nothing again"
    house.look(visit, "second")
    page.fill(
        "#code", phone.at(datetime.now(UTC) + timedelta(seconds=30))
    )  # the next: clocks of phones may be a little ahead
    go(page, "Go on")
    page.wait_for_url("**/studies*")


def with_passkey(house: House, visit: Visit) -> None:
    """Register a passkey in a virtual security key, and sign in with it alone."""
    page = visit.page
    key = cast("Any", page.context.new_cdp_session(page))
    key.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
    verified = {"hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True}
    key.send("WebAuthn.addVirtualAuthenticator", {"options": {**options, **verified}})
    page.goto("/account/passkeys")
    house.look(visit, "passkeys")
    page.fill("#label", "Laptop in room 3")
    page.fill("#add-password", PASSWORD)
    press(page, "Add a passkey")
    page.get_by_text("Laptop in room 3").wait_for()
    sign_out(visit)
    press(page, "Sign in with a passkey")
    page.wait_for_url("**/studies*")


def upload(house: House, visit: Visit, folder: Path) -> None:
    """Send a folder in at the page for it."""
    page = visit.page
    go(page, "Upload", "link")
    house.look(visit, "upload")
    page.set_input_files("#drop-folder", folder)
    expect(page.locator("#drop-state")).to_contain_text("Done", timeout=60_000)
    house.look(visit, "uploaded")


def search(house: House, visit: Visit, words: str) -> None:
    """Find the one study that words are of."""
    page = visit.page
    go(page, "Studies", "link")
    house.look(visit, "studies")
    page.fill("#anything", words)
    press(page, "Search")
    expect(page.locator("#count")).to_contain_text("1 study found")
    house.look(visit, "found")
    assert words not in page.url


def share(house: House, visit: Visit, study: str) -> tuple[str, str]:
    """Make a link with a PIN from the study's page; gives both."""
    page = visit.page
    go(page, "‹ To the study Not for diagnosis", "link")  # noqa: RUF001 - what the page says
    page.wait_for_url(f"**/studies/{study}")
    house.look(visit, "study")
    go(page, "Share", "link")
    house.look(visit, "share")
    page.check("#lock-pin")
    page.fill("#note", "Practice across the road")
    go(page, "Make the link")
    page.wait_for_selector("#link")
    house.look(visit, "shared link")
    return page.input_value("#link"), page.inner_text("#code").replace(" ", "")


def receive(house: House, link: str, pin: str, study: str, other: str) -> Visit:
    """Open a link in a clean profile: that study, and nothing else."""
    visitor = house.visit()
    page = visitor.page
    page.goto(link)
    house.look(visitor, "open")
    go(page, "Open")
    house.look(visitor, "number")
    page.fill("#code", pin)
    go(page, "Open")
    page.wait_for_url("**/shared")
    house.look(visitor, "shared")
    assert page.locator("main section.shared").count() == 1
    page.click("text=Look at the images")
    page.wait_for_url(f"**/look/{study}")
    page.locator("main img").first.evaluate("each => each.decode()")
    house.look(visitor, "look")
    paths = [f"/look/{other}", f"/studies/{other}", f"/studies/{study}/download", "/studies", "/audit"]
    assert page.evaluate(STATUSES, paths) == [404] * len(paths)
    assert page.evaluate(STATUSES, ["/dicom-web/studies"])[0] in {401, 403, 404}, "looking is not searching"
    return visitor


def break_glass(house: House, visit: Visit) -> None:
    """Open a patient's studies in an emergency."""
    page = visit.page
    page.goto("/studies")
    expect(page.locator("#count")).to_contain_text("No study is opened for you yet")
    house.look(visit, "no study")
    go(page, "Emergency access", "link")
    house.look(visit, "break glass")
    page.fill("#value", PATIENT)
    page.fill("#reason", "Unconscious in the emergency room, earlier images are needed")
    go(page, "Open it")
    page.get_by_text("Open for you now").wait_for()
    house.look(visit, "glass is broken")
    search(house, visit, "ada")


def audit(house: House, auditor: Visit, **conditions: str) -> str:
    """Search the log at its page; gives what it tells."""
    page = auditor.page
    page.goto("/audit")
    for name, value in conditions.items():
        page.fill(f"#{name}", value)
    go(page, "Search")
    house.look(auditor, "audit")
    return page.locator("table.log").inner_text()


def test_a_first_day_from_the_set_up_link_to_the_audit_of_it(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "cd"
    folder.mkdir()
    study = phantoms.ct(folder, slices=4, PatientName=NAME, PatientID=PATIENT, StudyDescription="Head of a story").uid
    other = phantoms.ct(folder, slices=1, PatientName="Other^Person", PatientID="STORY-2").uid

    admin = set_up(house, house.first_link)
    links = {role: add(house, admin, f"r.{role}", role) for role in ("radiologist", "referrer", "auditor")}

    reader = set_up(house, links["radiologist"])
    with_app(house, reader, "r.radiologist")
    with_passkey(house, reader)
    upload(house, reader, folder)
    search(house, reader, "ada")
    reader.page.get_by_role("link", name="Viewer").first.click()
    viewer = Viewer(reader)
    viewer.lit()
    viewer.pattern()

    link, pin = share(house, reader, study)
    visitor = receive(house, link, pin, study, other)
    reader.page.goto("/shares")
    house.look(reader, "links")
    go(reader.page, "Practice across the road", "link")
    house.look(reader, "link")
    go(reader.page, "End this link now")
    reader.page.wait_for_selector("text=It was ended on")
    for path in ("/shared", f"/look/{study}"):
        visitor.page.goto(path)
        assert "Head of a story" not in visitor.page.content()
    visitor.page.goto(link)
    go(visitor.page, "Open")
    visitor.page.wait_for_selector("text=This link does not open anything any more")
    house.look(visitor, "closed")

    referrer = set_up(house, links["referrer"])
    break_glass(house, referrer)
    auditor = set_up(house, links["auditor"])
    auditor.page.goto("/break-glass/review")
    house.look(auditor, "review")
    auditor.page.get_by_label("What you found").fill("On call, justified")
    go(auditor.page, "Mark as reviewed")
    auditor.page.wait_for_selector("text=Nothing waits for a review")

    told = audit(house, auditor, caller="admin")
    for name in links:
        assert f"made the account r.{name}" in told
        assert f"made a set-up link for the account r.{name}" in told
    told = audit(house, auditor, caller="r.radiologist")
    for words in ("signed in with", "passkey", "sent images in", "searched the archive", "opened a study"):
        assert words in told, words
    assert "made the link" in told
    assert "ended the link" in told
    told = audit(house, auditor, caller="r.referrer")
    assert "opened studies in an emergency" in told
    assert "reviewed emergency 1" in audit(house, auditor, caller="r.auditor")
    told = audit(house, auditor, patient=PATIENT)
    assert "Link " in told, "who had the link is among those who saw the patient"
    assert "r.radiologist" in told
    auditor.page.goto("/audit/verify")
    go(auditor.page, "Verify it now")
    auditor.page.wait_for_selector("text=The log is whole")
    house.look(auditor, "verified")

    for visit in house.visits:
        assert visit.violations == []
        assert visit.hosts == {house.url.removeprefix("https://")}
