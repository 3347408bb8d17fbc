import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from leadglass.audit.event import Outcome
from leadglass.crypto.ca import fingerprint
from leadglass.crypto.database import open_sealed
from leadglass.errors import BadInput, Conflict, Denied, Misconfigured, NotHere
from leadglass.identity.device import Device
from leadglass.identity.devices import Devices
from leadglass.identity.named import caller_named, grants_of
from leadglass.policy.action import DEVICE_ACTIONS, Action
from tests.callers import device as a_device
from tests.callers import everything
from tests.identity.conftest import KEY, House

CT1 = Device.parse("CT1", ["10.1.2.0/24", "fd00::/64"], ["store"])
OLD = Device.parse("OLD", ["10.1.9.9"], plaintext=True, until="2027-03-31", host="10.1.9.9", port=104)


def test_a_device_comes_back_as_it_was_added(house: House) -> None:
    for device in (CT1, OLD):
        house.devices.add(everything(), device)
    assert house.devices.get("CT1") == CT1
    assert house.devices.list() == [CT1, OLD]
    assert house.devices.find("ct1") is None  # upper and lower case differ
    with pytest.raises(NotHere):
        house.devices.get("ct1")


def test_what_one_process_changes_the_others_see_at_once(house: House) -> None:
    with Devices(house.folder / "identity.db", KEY, house.log, house.authority) as server:
        assert server.find("CT1") is None
        house.devices.add(everything(), CT1)
        assert server.find("CT1") == CT1
        house.devices.remove(everything(), "CT1")
        assert server.find("CT1") is None


def test_an_enrolled_ae_title_is_changed_only_on_request(house: House) -> None:
    house.devices.add(everything(), CT1)
    other = replace(CT1, allow=DEVICE_ACTIONS)
    with pytest.raises(Conflict, match="--replace"):
        house.devices.add(everything(), other)
    assert house.devices.get("CT1") == CT1
    house.devices.add(everything(), other, replace=True)
    assert house.devices.get("CT1") == other


def test_changing_a_device_keeps_its_certificate(house: House) -> None:
    mark = fingerprint(house.enrol("CT1"))
    house.devices.add(everything(), CT1, replace=True)
    assert house.devices.get("CT1").fingerprint == mark


def test_a_plaintext_lane_that_ended_or_never_ends_is_not_added(house: House) -> None:
    for days in (-1, 3_654):
        until = house.clock.now.date() + timedelta(days=days)
        with pytest.raises(BadInput):
            house.devices.add(everything(), replace(OLD, until=until))
    assert house.devices.list() == []


def test_the_database_itself_refuses_a_plaintext_lane_without_an_end(house: House) -> None:
    house.devices.add(everything(), OLD)
    connection = open_sealed(house.folder / "identity.db", KEY)
    with pytest.raises(Exception, match="CHECK"):
        connection.execute("UPDATE device SET until = NULL")
    connection.close()


def test_removing_a_device_ends_its_certificate_for_good(house: House) -> None:
    mark = fingerprint(house.enrol("CT1"))
    house.devices.remove(everything(), "CT1")
    with pytest.raises(NotHere):
        house.devices.remove(everything(), "CT1")
    known = house.devices.whose(mark)
    assert known is not None
    assert (known.ae_title, known.ended) == ("CT1", "removed")
    house.devices.add(everything(), CT1)
    assert house.devices.get("CT1").fingerprint == ""


def test_enrolling_writes_the_three_files_and_the_key_is_the_owners_alone(house: House, tmp_path: Path) -> None:
    house.devices.add(everything(), CT1)
    enrolment = house.devices.enrol(everything(), "CT1", tmp_path / "out")
    assert stat.S_IMODE(enrolment.key.stat().st_mode) == 0o600
    assert b"PRIVATE KEY" in enrolment.key.read_bytes()
    assert b"PRIVATE KEY" not in enrolment.certificate.read_bytes()
    assert enrolment.authority.read_bytes() == house.authority.certificate_pem
    device = house.devices.get("CT1")
    assert (device.fingerprint, device.certificate_until) == (enrolment.fingerprint, enrolment.not_after)


@pytest.mark.parametrize("name", ["key.pem", "cert.pem", "ca.pem"])
def test_enrolling_overwrites_nothing(house: House, tmp_path: Path, name: str) -> None:
    house.devices.add(everything(), CT1)
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("something of somebody's")
    with pytest.raises(Conflict, match="not overwritten"):
        house.devices.enrol(everything(), "CT1", out)
    assert [each.name for each in out.iterdir()] == [name]
    assert (out / name).read_text() == "something of somebody's"
    assert house.devices.get("CT1").fingerprint == ""


def test_enrolling_does_not_follow_a_dangling_link(house: House, tmp_path: Path) -> None:
    house.devices.add(everything(), CT1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Conflict):
        house.devices.enrol(everything(), "CT1", tmp_path / "out")
    assert not (tmp_path / "elsewhere").exists()


def test_the_old_certificate_goes_on_when_the_new_one_cannot_be_written(house: House, tmp_path: Path) -> None:
    mark = fingerprint(house.enrol("CT1"))
    (tmp_path / "a-file").write_text("")
    with pytest.raises(Misconfigured):
        house.devices.enrol(everything(), "CT1", tmp_path / "a-file" / "out")
    assert house.devices.get("CT1").fingerprint == mark
    assert house.log.records()[-1].event.outcome is Outcome.FAILED


def test_only_one_certificate_counts_however_many_enrol_at_once(house: House, tmp_path: Path) -> None:
    house.devices.add(everything(), CT1)
    outs = [tmp_path / f"out{n}" for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda out: house.devices.enrol(everything(), "CT1", out), outs))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    ended = [known.ended for each in made if (known := house.devices.whose(each.fingerprint))]
    assert sorted(ended) == ["", *["replaced"] * 5]
    assert house.log.verify().ok


def test_a_device_that_is_not_enrolled_gets_no_certificate(house: House, tmp_path: Path) -> None:
    with pytest.raises(NotHere, match="device list"):
        house.devices.enrol(everything(), "CT9", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_who_may_not_manage_changes_nothing_and_is_on_record(house: House, tmp_path: Path) -> None:
    house.enrol("CT1")
    nobody = a_device("CT1", *(set(Action) - {Action.MANAGE}))
    before = house.devices.list()
    for change in (
        lambda: house.devices.add(nobody, OLD),
        lambda: house.devices.remove(nobody, "CT1"),
        lambda: house.devices.enrol(nobody, "CT1", tmp_path / "out"),
    ):
        with pytest.raises(Denied):
            change()
        assert house.log.records()[-1].event.outcome is Outcome.REFUSED
    assert house.devices.list() == before
    assert not (tmp_path / "out").exists()


def test_every_change_is_on_record_before_it_happens(house: House, tmp_path: Path) -> None:
    house.devices.add(everything(), OLD)
    house.devices.enrol(everything(), "OLD", tmp_path / "out")
    house.devices.remove(everything(), "OLD")
    details = [record.event.detail for record in house.log.records(action="manage")]
    assert [detail["change"] for detail in details] == ["add", "enrol", "remove"]
    assert {detail["device"] for detail in details} == {"OLD"}
    assert details[0]["plaintext_until"] == "2027-03-31"
    house.log.close()
    with pytest.raises(Exception, match="closed"):
        house.devices.add(everything(), CT1)
    assert house.devices.list() == []


def test_nothing_of_a_device_is_readable_on_disk(house: House) -> None:
    house.devices.add(everything(), replace(CT1, ae_title="SECRETSCANNER"))
    for each in house.folder.glob("identity.db*"):
        assert b"SECRETSCANNER" not in each.read_bytes()
        assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0


# --- bulk -----------------------------------------------------------------------


def test_bulk_is_kept_with_its_reason_and_last_day_and_on_record(house: House) -> None:
    house.devices.add(
        everything(), Device.parse("NIGHT", ["10.1.2.3"], ["find"], bulk="export", bulk_until="2099-12-31")
    )
    device = house.devices.get("NIGHT")
    assert (device.bulk, str(device.bulk_until)) == ("export", "2099-12-31")
    assert caller_named("NIGHT", house.devices).grants[0].bulk
    said = [record.event.detail for record in house.log.records()][-1]
    assert (said["bulk"], said["bulk_until"]) == ("export", "2099-12-31")


def test_bulk_goes_when_a_device_is_changed_without_it_or_removed(house: House) -> None:
    bulk = Device.parse("NIGHT", ["10.1.2.3"], ["find"], bulk="export")
    plain = Device.parse("NIGHT", ["10.1.2.3"], ["find"])
    house.devices.add(everything(), bulk)
    house.devices.add(everything(), plain, replace=True)
    assert not house.devices.get("NIGHT").bulk
    house.devices.add(everything(), bulk, replace=True)
    house.devices.remove(everything(), "NIGHT")
    house.devices.add(everything(), plain)
    assert not caller_named("NIGHT", house.devices).grants[0].bulk


def test_bulk_ends_after_its_last_day() -> None:
    device = Device.parse("NIGHT", ["10.1.2.3"], ["find"], bulk="export", bulk_until="2026-11-30")
    assert [grants_of(device, date(2026, month, 30))[0].bulk for month in (10, 11, 12)] == [True, True, False]


# --- certificates that are handed out without files, and their end ---------------------------


def test_a_certificate_is_handed_out_instead_of_the_one_that_was_seen_and_of_no_other(house: House) -> None:
    house.devices.add(everything(), CT1)
    first = house.devices.issue(everything(), "CT1", instead_of="")
    with pytest.raises(Conflict, match="after this page was opened"):
        house.devices.issue(everything(), "CT1", instead_of="")
    assert house.devices.get("CT1").fingerprint == first.fingerprint
    second = house.devices.issue(everything(), "CT1", instead_of=first.fingerprint)
    known = house.devices.whose(first.fingerprint)
    assert known is not None
    assert known.ended == "replaced"
    assert house.devices.get("CT1").fingerprint == second.fingerprint


def test_many_who_ask_at_once_for_a_first_certificate_get_one(house: House) -> None:
    house.devices.add(everything(), CT1)

    def ask(_: int) -> bool:
        try:
            house.devices.issue(everything(), "CT1", instead_of="")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(ask, range(8))) == 1


def test_a_revoked_certificate_is_remembered_as_that_and_the_device_stays(house: House) -> None:
    house.devices.add(everything(), CT1)
    issued = house.devices.issue(everything(), "CT1", instead_of="")
    house.devices.revoke(everything(), "CT1", door="pages")
    known = house.devices.whose(issued.fingerprint)
    assert known is not None
    assert known.ended == "revoked"
    assert house.devices.get("CT1") == CT1
    with pytest.raises(Conflict, match="no certificate"):
        house.devices.revoke(everything(), "CT1")
    last = house.log.records()[-1].event
    assert (last.detail["change"], last.door) == ("revoke", "pages")


def test_who_may_not_manage_is_handed_nothing_and_does_not_even_look(house: House) -> None:
    house.devices.add(everything(), CT1)
    stranger = a_device("CT1")
    for act in (
        lambda: house.devices.look(stranger, door="pages"),
        lambda: house.devices.issue(stranger, "CT1", instead_of=""),
        lambda: house.devices.note_test(stranger, CT1, "to"),
    ):
        with pytest.raises(Denied):
            act()
        assert house.log.records()[-1].event.outcome is Outcome.REFUSED
    before = len(house.log.records())
    house.devices.look(everything())
    assert len(house.log.records()) == before, "that somebody who may looked at the list is no news"


def test_why_a_lane_is_plaintext_is_kept_on_record_and_goes_with_the_lane(house: House) -> None:
    reasoned = replace(OLD, why_plaintext="Maker says no")
    house.devices.add(everything(), reasoned)
    assert house.devices.get("OLD") == reasoned
    assert house.log.records()[-1].event.detail["plaintext_reason"] == "Maker says no"
    house.devices.add(everything(), replace(OLD, plaintext=False, until=None), replace=True)
    assert house.devices.get("OLD").why_plaintext == ""
    assert house.log.records()[-1].event.detail["change"] == "change"
    with pytest.raises(BadInput):
        replace(CT1, why_plaintext="no lane, no reason")
