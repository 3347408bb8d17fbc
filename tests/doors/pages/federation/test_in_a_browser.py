"""People sign in with a real browser: by a provider, and by a passkey of its own virtual security key."""

from collections.abc import Iterator

import pytest

from tests.doors.pages.federation.federationhouse import PASSWORD, Site, site_in
from tests.peers.chromium import Page, chromium


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_in(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def page(site: Site) -> Iterator[Page]:
    with chromium(site.folder, site.certificate, site.folder / "op.pem") as browser:
        yield browser


def sign_out(page: Page, site: Site) -> None:
    page.go(f"{site.address}/account")
    page.run("document.querySelector('form[action=\"/sign-out\"] button').click()")
    page.wait_for("location.pathname === '/sign-in'")


def test_the_button_leads_to_the_provider_and_back_into_the_archive(site: Site, page: Page) -> None:
    page.go(f"{site.address}/sign-in")
    page.run("[...document.links].find((each) => each.innerText === 'Sign in with Example Hospital').click()")
    page.wait_for("location.pathname === '/studies' && document.querySelector('header nav')")
    assert "alice.arzte@example.org" in page.text()
    assert page.run("document.cookie") == ""  # no script sees a cookie of ours
    sign_out(page, site)


def test_a_passkey_is_registered_and_then_signs_in_alone(site: Site, page: Page) -> None:
    site.add_person("bob")
    authenticator = page.add_authenticator()
    page.go(f"{site.address}/sign-in")
    page.fill(name="bob", password=PASSWORD)
    page.run("document.querySelector('form[action=\"/sign-in\"] button').click()")
    page.wait_for("location.pathname === '/studies' && document.querySelector('header nav')")

    page.go(f"{site.address}/account/passkeys")
    page.fill(label="Laptop in room 3")
    page.run("document.getElementById('add-password').value = 'not the password'")
    page.run("document.querySelector('#passkey-form button').click()")
    page.wait_for("!document.getElementById('passkey-error').hidden")
    assert "not your password" in page.text()

    page.run(f"document.getElementById('add-password').value = '{PASSWORD}'")
    page.run("document.querySelector('#passkey-form button').click()")
    page.wait_for("document.body.innerText.includes('Laptop in room 3')")
    (credential,) = page.do("WebAuthn.getCredentials", authenticatorId=authenticator)["credentials"]
    assert (credential["rpId"], credential["isResidentCredential"]) == ("localhost", True)

    sign_out(page, site)
    for _ in range(2):  # its counter goes on
        page.go(f"{site.address}/sign-in")
        page.wait_for("!document.getElementById('passkey').hidden")
        page.run("document.getElementById('passkey').click()")
        page.wait_for("location.pathname === '/studies' && document.querySelector('header nav')")
        assert "bob" in page.text()
        sign_out(page, site)

    # A copy of the key whose counter stayed behind is refused, and the operator is told.
    page.do("WebAuthn.removeCredential", authenticatorId=authenticator, credentialId=credential["credentialId"])
    page.do("WebAuthn.addCredential", authenticatorId=authenticator, credential={**credential, "signCount": 1})
    page.go(f"{site.address}/sign-in")
    page.run("document.getElementById('passkey').click()")
    page.wait_for("!document.getElementById('passkey-error').hidden")
    assert "Sign in another way" in page.text()
    alerts = [record for record in site.web.leadglass.audit() if record["outcome"] == "alert"]
    assert "copied" in str(alerts[-1]["reason"])


def test_the_secret_of_a_set_up_link_leaves_the_address_and_opens_the_account_once(site: Site, page: Page) -> None:
    link = site.web.leadglass.do("user", "add", "erin", "--role", "radiologist").strip()
    there = f"{site.address}/set-up#{link.rpartition('#')[2]}"
    page.go(there)
    page.wait_for("document.getElementById('secret').value !== '' && location.hash === ''")
    page.fill(password=PASSWORD, again=PASSWORD)
    page.run("document.querySelector('form[action=\"/set-up\"] button').click()")
    page.wait_for("location.pathname === '/studies' && document.querySelector('header nav')")
    assert "erin" in page.text()
    sign_out(page, site)
    page.go(there)
    page.wait_for("document.getElementById('secret').value !== ''")
    page.fill(password=PASSWORD, again=PASSWORD)
    page.run("document.querySelector('form[action=\"/set-up\"] button').click()")
    page.wait_for("document.querySelector('[role=alert]')")
    assert "used already" in page.text()


def test_nothing_on_these_pages_breaks_their_own_policy(page: Page) -> None:
    assert breaches(page) == []
    page.run("document.body.insertAdjacentHTML('beforeend', '<style>p { color: red }</style>')")
    page.wait_for("true")
    assert breaches(page)  # it would have been heard


def breaches(page: Page) -> list[str]:
    return [line for line in page.console if "Content Security Policy" in line]
