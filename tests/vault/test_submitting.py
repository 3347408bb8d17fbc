"""What is handed in by who may not store: it waits in quarantine, and nothing is told of what is stored."""

import subprocess
import sys
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.archive.backroom import Declared, Receipt, Resolution, Stored
from leadglass.errors import Conflict, Denied, Full, LeadglassError, NotHere
from leadglass.policy.action import Action
from leadglass.policy.scope import Field, Scope
from leadglass.vault.records import Caps, SubmittedCaps
from leadglass.vault.settings import VaultSettings
from leadglass.vault.vault import Vault
from tests.callers import permit
from tests.vault.sets import EXPLICIT, contents, instance, located, objects, opened, store

SUBMIT, RESOLVE = permit(Action.SUBMIT), permit(Action.RESOLVE)
UID = "1.2.3.4.1.77"


def submit(vault: Vault, data: bytes, origin: str = "link") -> Receipt:
    return store(vault, data, origin=origin, may=SUBMIT)


def test_what_is_handed_in_waits_and_is_found_and_fetched_by_nobody(vault: Vault) -> None:
    data = instance(SOPInstanceUID=UID)
    receipt = submit(vault, data)
    assert receipt.outcome is Stored.KEPT_ASIDE
    (kept,) = vault.quarantined(RESOLVE)
    assert (kept.origin, kept.is_submitted, kept.sop_instance_uid) == ("link", True, UID)
    assert kept.reason == "received through a link, to be looked at"
    assert located(vault) == []
    assert vault.facts(permit(Action.FIND), "1.2.3.4") is None
    assert vault.changes(permit(Action.FIND), "", 10).entries == ()


def test_accepting_files_it_bit_for_bit_with_the_link_as_its_source(vault: Vault) -> None:
    data = instance(SOPInstanceUID=UID)
    submit(vault, data)
    (kept,) = vault.quarantined(RESOLVE)
    vault.resolve(RESOLVE, kept.number, Resolution.ACCEPT)
    assert contents(vault) == [data]
    assert vault.quarantined(RESOLVE) == []
    (record,) = located(vault)
    assert record.facts.sources == frozenset({"link"})


def test_it_survives_reopening_and_a_discarded_one_leaves_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        submit(vault, instance(SOPInstanceUID=UID))
    with opened(tmp_path) as vault:
        (kept,) = vault.quarantined(RESOLVE)
        assert kept.is_submitted
        vault.resolve(RESOLVE, kept.number, Resolution.DISCARD)
        assert objects(tmp_path) == []


@pytest.mark.parametrize(
    "there",
    [
        {},
        {"StudyDescription": "Abdomen"},
        {"SOPInstanceUID": "1.2.3.4.1.78", "PatientID": "4712"},
        {"SeriesInstanceUID": "1.2.3.4.9"},
    ],
)
def test_who_hands_in_hears_the_same_whatever_is_stored(vault: Vault, there: dict[str, object]) -> None:
    """The same instance, a contradiction, another patient in the study, or nothing of it at all."""
    data = instance(SOPInstanceUID=UID)
    alone = submit(vault, data)
    (kept,) = vault.quarantined(RESOLVE)
    vault.resolve(RESOLVE, kept.number, Resolution.DISCARD)
    before = instance(**({"SOPInstanceUID": UID} | there))
    store(vault, before)
    assert submit(vault, data) == alone
    assert contents(vault) == [before]
    assert len(vault.quarantined(RESOLVE)) == 1


def test_the_decision_over_it_looks_at_the_instance_alone(vault: Vault) -> None:
    """Else a refusal would tell of whom a stored study is, or who sent it."""
    store(vault, instance(SOPInstanceUID="1.9.9", PatientID="4711", StudyInstanceUID="1.2.9"), origin="CT1")
    for scope, covers in ((Scope.where(Field.SOURCE, "CT1"), False), (Scope.where(Field.PATIENT, "4711"), False)):
        may = permit(Action.SUBMIT, scope=scope)
        incoming = vault.receive(may, Declared(EXPLICIT, origin="link"))
        incoming.write(instance(PatientID="", StudyInstanceUID="1.2.9"))
        facts = incoming.examine()
        assert scope.covers(facts) is covers
        with pytest.raises(Denied):
            incoming.commit(may)
        incoming.abort()


def test_a_permit_to_store_commits_nothing_that_was_handed_in_nor_the_other_way_round(vault: Vault) -> None:
    for first, second in ((Action.SUBMIT, Action.STORE), (Action.STORE, Action.SUBMIT)):
        incoming = vault.receive(permit(first), Declared(EXPLICIT, origin="link"))
        incoming.write(instance())
        incoming.examine()
        with pytest.raises(Denied):
            incoming.commit(permit(second))
        incoming.abort()
    assert vault.quarantined(RESOLVE) == []


def caps(tmp_path: Path, together: Caps, each: Caps, kept: Caps | None = None) -> VaultSettings:
    del tmp_path
    return VaultSettings(
        min_free_bytes=0, submitted=SubmittedCaps(together, each), quarantine=kept or Caps(10, 1 << 30)
    )


def test_one_link_cannot_take_the_room_of_all_nor_all_links_that_of_contradictions(tmp_path: Path) -> None:
    big = 1 << 30
    with opened(tmp_path, caps(tmp_path, Caps(3, big), Caps(2, big), Caps(1, big))) as vault:
        submit(vault, instance(), "one")
        submit(vault, instance(), "one")
        with pytest.raises(Full, match="handed in"):
            submit(vault, instance(), "one")
        submit(vault, instance(), "two")
        with pytest.raises(Full, match="waits"):
            submit(vault, instance(), "three")
        store(vault, instance(SOPInstanceUID=UID))
        with pytest.raises(Conflict):
            store(vault, instance(SOPInstanceUID=UID, StudyID="S2"))
        assert len(objects(tmp_path)) == 5


def test_octets_are_counted_too_and_what_is_decided_makes_room(tmp_path: Path) -> None:
    data = instance()
    with opened(tmp_path, caps(tmp_path, Caps(9, 1 << 30), Caps(9, len(data) + 10))) as vault:
        submit(vault, data)
        assert submit(vault, data).outcome is Stored.KEPT_ASIDE  # it is there, and counts once
        with pytest.raises(Full):
            submit(vault, instance())
        vault.resolve(RESOLVE, vault.quarantined(RESOLVE)[0].number, Resolution.ACCEPT)
        submit(vault, instance())


SENDER = """
import sys
from hashlib import sha256
from pathlib import Path
from leadglass.policy.action import Action
from leadglass.vault.settings import VaultSettings
from tests.callers import permit
from tests.vault.sets import instance, opened, store

with opened(Path(sys.argv[1]), VaultSettings(min_free_bytes=0, objects_per_shelf=7)) as vault:
    for number in range(10_000):
        data = instance(SOPInstanceUID=f"1.5.{number}", PixelData=bytes([number % 256]) * 60_000, Rows=300, Columns=100)
        store(vault, data, may=permit(Action.SUBMIT), origin="link")
        print(f"1.5.{number}", sha256(data).hexdigest(), flush=True)
"""


def test_a_killed_process_loses_nothing_of_what_it_acknowledged_to_wait(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    command = [sys.executable, "-W", "ignore", "-c", SENDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20)]
        process.kill()
        lines += process.stdout.readlines()
    said = dict(line.split() for line in lines if line.endswith("\n"))
    with opened(tmp_path) as vault:
        kept = {each.sop_instance_uid: each for each in vault.quarantined(RESOLVE)}
        assert len(kept) == len(objects(tmp_path))
        for uid, digest in said.items():
            with vault.open_kept(RESOLVE, kept[uid].number) as reader:
                assert sha256(reader.read_at(0, reader.size)).hexdigest() == digest
        assert vault.fsck(permit(Action.VERIFY), lambda _done, _all: None).faults == ()


_numbers = count()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.tuples(st.sampled_from(["store", "submit", "accept", "discard"]), st.integers(0, 3))))
def test_whatever_is_done_what_waits_is_never_here(tmp_path: Path, acts: list[tuple[str, int]]) -> None:
    """Stored is what was stored or accepted and not replaced since; what waits alone is nowhere else."""
    folder = tmp_path / str(next(_numbers))
    folder.mkdir()
    sets = [instance(SOPInstanceUID=f"1.2.3.4.1.{n % 2}", StudyID=f"S{n}") for n in range(4)]
    here: dict[int, int] = {}
    with opened(folder) as vault:
        for act, n in acts:
            try:
                if act == "store":
                    store(vault, sets[n])
                    here[n % 2] = n
                elif act == "submit":
                    assert submit(vault, sets[n]).outcome is Stored.KEPT_ASIDE
                else:
                    (kept,) = [k for k in vault.quarantined(RESOLVE) if k.sop_instance_uid == f"1.2.3.4.1.{n % 2}"][:1]
                    vault.resolve(RESOLVE, kept.number, Resolution(act))
                    if act == "accept":
                        here = {}
                        for record in located(vault):
                            with vault.open(permit(Action.GET), record) as reader:
                                number = sets.index(reader.read_at(0, reader.size))
                            here[number % 2] = number
            except (LeadglassError, ValueError) as error:
                assert isinstance(error, Conflict | NotHere | ValueError)  # noqa: PT017 - some are expected
            assert sorted(contents(vault)) == sorted(sets[number] for number in here.values())
            for kept in vault.quarantined(RESOLVE):
                assert kept.origin in ("link", "CT1")
