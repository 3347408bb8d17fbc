"""The list, the wizard and changes, as forms that work without scripts."""

import html
import re
from urllib.parse import quote

import pytest

from tests.doors.pages.browser import Browser, add_person, records
from tests.doors.pages.devices.devicehouse import LATER, DeviceHouse
from tests.peers.dcmtk import Dcmtk


def hidden(page: str) -> dict[str, str]:
    """Give the hidden fields of the wizard's form."""
    form = re.search(r'<form method="post" action="/devices/new".*?</form>', page, re.DOTALL)
    assert form, page
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[0])
    return {html.unescape(name): html.unescape(value) for name, value in found}


def step(manager: Browser, **fields: str) -> None:
    """Fill in a step and go on."""
    manager.post("/devices/new", {**hidden(manager.page), "go": "next", **fields})


def walk(manager: Browser, ae_title: str, **more: str) -> None:
    """Go through the wizard up to its summary."""
    manager.get("/devices/new")
    step(manager, kind="modality")
    step(manager, ae=ae_title, addresses=more.get("addresses", "127.0.0.1"))
    step(manager, may_echo="1", may_store="1")
    step(manager, **({"speaks": "tls"} if "until" not in more else {"speaks": "plaintext", **more}))


def test_five_steps_enrol_a_device_and_lead_to_its_certificate(house: DeviceHouse, manager: Browser) -> None:
    walk(manager, "WIZ1")
    assert "Step 5 of 5" in manager.page
    assert house.find("WIZ1") is None, "nothing is enrolled before the summary was sent"
    step(manager)
    assert "Now its certificate" in manager.page
    device = house.find("WIZ1")
    assert device is not None
    assert device["allow"] == ["echo", "store"]
    [event] = [e for e in records(house.web, "manage") if e.detail.get("device") == "WIZ1"]
    assert (event.detail["change"], event.door, event.caller) == ("add", "pages", "person:manager")


def test_a_plaintext_lane_is_said_in_red_with_its_risk_its_end_and_its_reason(
    house: DeviceHouse, manager: Browser
) -> None:
    walk(manager, "WIZ2", until=LATER, why="Maker says no")
    assert "Enrol it without encryption" in manager.page
    assert "a hole, opened on purpose" in manager.page
    assert "may also: tests (C-ECHO)." in manager.page
    step(manager)
    device = house.find("WIZ2")
    assert device is not None
    assert (device["until"], device["why_plaintext"]) == (LATER, "Maker says no")
    assert f'badge bad">Plaintext until {LATER}: 40 days left' in manager.get("/devices").text


def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(manager: Browser) -> None:
    manager.get("/devices/new")
    step(manager, kind="workstation")
    step(manager, ae="WIZ3", addresses="nowhere", host="ws.example", port="")
    assert manager.status == 400
    assert 'id="addresses-wrong"' in manager.page
    assert 'aria-describedby="addresses-wrong addresses-hint"' in manager.page
    assert 'id="port-wrong"' in manager.page
    assert 'value="ws.example"' in manager.page
    assert ">nowhere</textarea>" in manager.page


def test_going_back_loses_nothing(manager: Browser) -> None:
    manager.get("/devices/new")
    step(manager, kind="modality")
    step(manager, ae="WIZ4", addresses="127.0.0.1")
    manager.post("/devices/new", {**hidden(manager.page), "go": "back", "boxes": "1", "may_store": "1"})
    assert 'value="WIZ4"' in manager.page
    step(manager, ae="WIZ4", addresses="127.0.0.1")
    assert re.search(r'id="may_store"[^>]* checked', manager.page)
    assert not re.search(r'id="may_echo"[^>]* checked', manager.page)


def test_an_ae_title_that_is_enrolled_leads_to_that_device(house: DeviceHouse, manager: Browser) -> None:
    house.add("TAKEN")
    manager.get("/devices/new")
    step(manager, kind="modality")
    step(manager, ae="TAKEN", addresses="127.0.0.1")
    assert "is enrolled already" in manager.page
    assert 'href="/devices/TAKEN"' in manager.page


@pytest.mark.parametrize("fields", [{}, {"step": "5"}, {"step": "5", "kind": "modality", "ae": "X"}, {"step": "99"}])
def test_a_form_that_leaps_over_steps_is_led_back_to_what_is_missing(manager: Browser, fields: dict[str, str]) -> None:
    manager.get("/devices/new")
    manager.post("/devices/new", {"csrf": manager.csrf, "go": "next", **fields})
    assert manager.status == 400
    assert "Step " in manager.page


def test_changing_a_device_keeps_its_certificate_and_what_the_page_does_not_show(
    house: DeviceHouse, manager: Browser
) -> None:
    house.add("CHANGE1")
    house.program.post("/devices/CHANGE1/certificate", json={"format": "pem", "instead_of": ""})
    before = house.find("CHANGE1")
    manager.get("/devices/CHANGE1/change")
    fields = {
        "csrf": manager.csrf,
        "boxes": "1",
        "may_find": "1",
        "speaks": "tls",
        "addresses": "127.0.0.1 10.1.2.0/24",
    }
    manager.post("/devices/CHANGE1/change", {**fields, "host": "ws.example", "port": "104"})
    assert "is changed" in manager.page
    after = house.find("CHANGE1")
    assert before is not None
    assert after is not None
    assert after["fingerprint"] == before["fingerprint"] is not None
    assert (after["allow"], after["host"], after["port"]) == (["find"], "ws.example", 104)
    assert after["addresses"] == ["127.0.0.1/32", "10.1.2.0/24"]
    manager.post("/devices/CHANGE1/change", {**fields, "csrf": manager.csrf, "addresses": "0.0.0.0/0"})
    assert manager.status == 400
    assert 'id="addresses-wrong"' in manager.page
    assert house.find("CHANGE1") == after


def test_a_lane_is_extended_refused_for_a_day_gone_by_and_closed(house: DeviceHouse, manager: Browser) -> None:
    house.add("LANE1", plaintext=True)
    manager.get("/devices/LANE1")
    manager.send("/devices/LANE1/lane", until="2020-01-01", why="still", go="extend")
    assert manager.status == 400
    assert 'id="until-wrong"' in manager.page
    manager.send("/devices/LANE1/lane", until=LATER, why="still no update", go="extend")
    assert "new last day" in manager.page
    assert "40 days left" in manager.page
    assert "still no update" in manager.page
    manager.send("/devices/LANE1/lane", go="close")
    assert "lane is closed" in manager.page
    device = house.find("LANE1")
    assert device is not None
    assert device["plaintext"] is False


def test_removing_asks_first_and_then_nobody_is_there(house: DeviceHouse, manager: Browser) -> None:
    house.add("GOING")
    assert "Remove GOING?" in manager.get("/devices/GOING/end").text
    manager.send("/devices/GOING/remove")
    assert "is removed" in manager.page
    assert manager.get("/devices/GOING").status_code == 404
    assert manager.get("/devices/NEVER").status_code == 404


def test_the_list_is_sorted_by_what_is_asked_and_by_nothing_else(house: DeviceHouse, manager: Browser) -> None:
    for title, address in (("SORTB", "127.0.0.9"), ("SORTA", "127.0.0.10")):
        house.add(title, address=address)

    def order(query: str) -> list[str]:
        return re.findall(r'<th scope="row"><a href="[^"]+">(SORT[AB])</a>', manager.get(f"/devices{query}").text)

    assert order("") == ["SORTA", "SORTB"]
    assert order("?sort=ae&down=1") == ["SORTB", "SORTA"]
    assert order("?sort=address") == ["SORTB", "SORTA"], "by number, not by letters"
    assert 'aria-sort="ascending"' in manager.page
    for odd in ("?sort=contact", "?sort=ends", "?sort=x%27", "?sort=__class__&down=2"):
        assert set(order(odd)) == {"SORTA", "SORTB"}


HOSTILE = ["<b>x</b>", "a/../b", "\"'&;", "new", "ca.pem", "A B", "~2F", "%2e%2e", "{{7*7}}", "..", "?#"]


@pytest.mark.parametrize("title", HOSTILE)
def test_a_hostile_ae_title_has_its_pages_and_changes_nothing_in_them(
    house: DeviceHouse, manager: Browser, title: str
) -> None:
    path = house.add(title)
    for page in ("", "/change", "/certificate", "/settings", "/test", "/end"):
        answer = manager.get(f"{path}{page}")
        assert answer.status_code == 200, page
        assert "<b>x</b>" not in answer.text
        assert "49" not in re.findall(r"<h1>(.*?)</h1>", answer.text)[0]
        assert html.escape(title, quote=False).split("&")[0][:2] in html.unescape(answer.text)
    assert path in manager.get("/devices").text
    manager.get(f"{path}/end")
    manager.send(f"{path}/remove")
    assert house.find(title) is None


HARMLESS = ["", "/new", "/ca.pem", "/AWAY", "/AWAY/change", "/AWAY/certificate", "/AWAY/settings", "/AWAY/test",
            "/AWAY/end", "/AWAY/tests/x", "/NOBODY"]  # fmt: skip
FORMS = ["/new", "/AWAY/change", "/AWAY/certificate", "/AWAY/lane", "/AWAY/revoke", "/AWAY/remove", "/AWAY/test",
         "/AWAY/tests/x/stop", "/NOBODY/remove"]  # fmt: skip


@pytest.mark.parametrize("role", ["radiologist", "auditor"])
def test_who_does_not_manage_devices_learns_and_changes_nothing(house: DeviceHouse, role: str) -> None:
    house.add("AWAY", plaintext=True)
    before = house.find("AWAY")
    name = add_person(house.web, f"outside-{role}", role)
    with Browser(house.web) as browser:
        browser.sign_in(name)
        assert 'href="/devices"' not in browser.get("/account").text
        csrf = browser.csrf
        for path in HARMLESS:
            answer = browser.get(f"/devices{path}")
            assert answer.status_code == 403, path
            assert "127.0.0.1" not in answer.text
        for path in FORMS:
            browser.post(f"/devices{path}", {"csrf": csrf, "go": "close", "format": "pem", "way": "to"})
            assert browser.status == 403, path
    assert house.find("AWAY") == before


def test_programs_get_and_change_devices_as_json(house: DeviceHouse) -> None:
    client = house.program
    fields = {"kind": "modality", "ae": "JSON1", "addresses": "127.0.0.1", "allow": "store", "speaks": "tls"}
    made = client.post("/devices/new", json=fields)
    assert (made.status_code, made.json()) == (201, {"ae": "JSON1", "path": "/devices/JSON1"})
    assert client.post("/devices/new", json=fields).status_code == 409
    listed = {each["ae"]: each for each in client.get("/devices").json()}
    assert listed["JSON1"]["allow"] == ["store"]
    assert listed["JSON1"]["last_contact"] is None
    assert client.get("/devices/JSON1").json() == listed["JSON1"]
    assert client.get("/devices/JSON1/settings").json()["called"] == "LEADGLASS"
    wrong = client.post("/devices/new", json={"ae": "JSON2", "addresses": "everywhere", "allow": "store"})
    assert wrong.status_code == 400


def test_the_last_contact_is_shown_with_what_came_of_it(house: DeviceHouse, manager: Browser, dcmtk: Dcmtk) -> None:
    house.add("SEEN1", plaintext=True)
    host, port = house.web.doors.plain
    assert "never" in manager.get("/devices/SEEN1").text
    assert dcmtk("echoscu", "-aet", "SEEN1", "-aec", "LEADGLASS", host, str(port)).code == 0
    page = manager.get("/devices/SEEN1").text
    assert "C-ECHO answered" in page
    assert "from 127.0.0.1" in page
    assert dcmtk("echoscu", "-aet", "SEEN1", "-aec", "WRONG", host, str(port)).code != 0
    page = manager.get("/devices/SEEN1").text
    assert "called by another name" in page
    assert "Last let in" in page


def test_an_address_brings_no_text_of_its_own_to_a_page(house: DeviceHouse, manager: Browser) -> None:
    house.add("QUIET")
    evil = quote("<b>Sign in again at evil.example</b>")
    assert "evil.example" not in manager.get(f"/devices/QUIET?done={evil}").text
    assert "evil.example" not in manager.get(f"/devices?done={evil}&sort={evil}").text
