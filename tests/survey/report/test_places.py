"""Places: what a file in the MaxMind DB format says of an address, and nothing of what it should not."""

import json
from ipaddress import ip_address
from pathlib import Path

import pytest

from leadglass.app import App
from leadglass.doors.cli.main import run
from leadglass.errors import Misconfigured
from leadglass.followup import FollowUp
from leadglass.survey.report.model import Place
from leadglass.survey.report.places import Places
from tests.callers import everything
from tests.survey.followed import followed, found
from tests.survey.report.mmdb import database


def test_countries_and_organisations_come_from_the_files_that_know_them(tmp_path: Path) -> None:
    countries = database(
        tmp_path / "countries", {"192.0.2.0/25": {"country": {"iso_code": "DE", "names": {"en": "Germany"}}}}
    )
    organisations = database(tmp_path / "asn", {"192.0.2.0/24": {"autonomous_system_organization": "Clinic Net"}})
    with Places([countries, organisations]) as places:
        assert places(ip_address("192.0.2.10")) == Place("Germany", "Clinic Net")
        assert places(ip_address("192.0.2.200")) == Place("", "Clinic Net")
        assert places(ip_address("198.51.100.1")) == Place()
        assert places(ip_address("2001:db8::1")) == Place()


def test_what_a_file_says_is_shortened_and_obeyed_by_no_terminal(tmp_path: Path) -> None:
    file = database(
        tmp_path / "x", {"192.0.2.0/24": {"country": "A\x1b[2J\u202eB", "autonomous_system_organization": "y" * 200}}
    )
    with Places([file]) as places:
        place = places(ip_address("192.0.2.1"))
    assert place == Place("A[2JB", "y" * 80)


def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04", b"\xab\xcd\xefMaxMind.com", b"\xab\xcd\xefMaxMind.com\xff" * 9):
        file = tmp_path / "no.mmdb"
        file.write_bytes(content)
        with pytest.raises(Misconfigured, match=r"no\.mmdb"):
            Places([file])


def test_a_damaged_file_knows_nothing_or_is_refused(tmp_path: Path) -> None:
    whole = database(tmp_path / "x", {"192.0.2.0/24": {"country": {"iso_code": "DE"}}}).read_bytes()
    for place in range(0, len(whole), 3):
        file = tmp_path / "damaged"
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            with Places([file]) as places:
                assert isinstance(places(ip_address("192.0.2.1")), Place)
        except Misconfigured:
            continue


def test_a_report_says_country_and_organisation_by_command_and_by_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = followed(tmp_path)
    kept.run([found(), found("192.0.2.200")])
    kept.state.close()
    countries = database(tmp_path / "c.mmdb", {"192.0.2.0/25": {"country": {"iso_code": "DE"}}})
    networks = database(tmp_path / "a.mmdb", {"192.0.2.0/24": {"autonomous_system_organization": "Clinic Net"}})
    asked = ["survey", "report", str(tmp_path / "clinic.toml"), "--format", "json", "--out", "-"]
    assert run([*asked, "--geo", str(countries), "--geo", str(networks)], App) == 0
    by_command = json.loads(capsys.readouterr().out)
    follow = FollowUp(tmp_path / "clinic.toml", lambda _: None, door="pages", version="0", geo=[countries, networks])
    by_page = json.loads(follow.report(everything(), "json", None, "en")[1])
    for made in (by_command, by_page):
        assert [(each["name"], each["hosts"]) for each in made["summary"]["countries"]] == [("DE", 1)]
        assert [(each["name"], each["hosts"]) for each in made["summary"]["organisations"]] == [("Clinic Net", 2)]
    _, written = follow.report(everything(), "html", 1, "en")
    assert "By organisation" in written
    assert "Clinic Net" in written
