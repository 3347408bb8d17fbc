import os
import threading
from pathlib import Path

import pytest

from leadglass.archive.backroom import Declared, NotAsDeclared, NotInStudy, NotTakenIn, Stored
from leadglass.dicom.frames import FrameTable
from leadglass.errors import BadInput, Denied, Full
from leadglass.policy.action import Action
from leadglass.policy.scope import Field, Scope
from leadglass.vault.settings import VaultSettings
from leadglass.vault.vault import Vault
from tests.callers import permit
from tests.vault.sets import (
    CT,
    EXPLICIT,
    PIXELS,
    contents,
    data_set,
    encoded,
    instance,
    located,
    objects,
    opened,
    store,
)

ALL_FILES = "**/*"


def test_what_is_stored_is_read_back_bit_exact(vault: Vault) -> None:
    data = instance()
    receipt = store(vault, data)
    assert receipt.outcome is Stored.STORED
    assert (receipt.study_uid, receipt.series_uid, receipt.sop_class_uid) == ("1.2.3.4", "1.2.3.4.1", CT)
    assert receipt.size == len(data)
    assert contents(vault) == [data]


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 2, 3 << 20])
def test_an_instance_larger_than_the_head_kept_in_memory_is_read_back_too(vault: Vault, size: int) -> None:
    data = instance(
        Rows=2,
        Columns=4,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        NumberOfFrames=size // 8,
        PixelData=os.urandom(size),
    )
    store(vault, data)
    assert contents(vault) == [data]


def test_it_is_there_after_reopening(tmp_path: Path) -> None:
    data = instance()
    with opened(tmp_path) as vault:
        store(vault, data)
    with opened(tmp_path) as vault:
        assert contents(vault) == [data]


def test_its_facts_are_those_of_the_data_set_and_its_source(vault: Vault) -> None:
    store(vault, instance(IssuerOfPatientID="HOSPITAL"), origin="CT1")
    store(vault, instance(IssuerOfPatientID="HOSPITAL"), origin="WS2")
    facts = vault.facts(permit(Action.FIND), "1.2.3.4")
    assert facts is not None
    assert (facts.patient_id, facts.issuer_of_patient_id) == ("4711", "HOSPITAL")
    assert facts.sources == {"CT1", "WS2"}


def test_nothing_is_seen_of_it_before_it_is_committed(vault: Vault, tmp_path: Path) -> None:
    incoming = vault.receive(permit(Action.STORE), Declared(EXPLICIT, origin="CT1"))
    incoming.write(instance())
    facts = incoming.examine()
    assert facts.study_uid == "1.2.3.4"
    assert located(vault) == []
    assert vault.facts(permit(Action.FIND), "1.2.3.4") is None
    incoming.abort()
    assert objects(tmp_path) == []


def test_what_is_aborted_leaves_no_file_and_no_descriptor(vault: Vault, tmp_path: Path) -> None:
    vault.receive(permit(Action.STORE), Declared(EXPLICIT)).abort()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for stage in range(3):
        incoming = vault.receive(permit(Action.STORE), Declared(EXPLICIT))
        if stage:
            incoming.write(instance())
        if stage > 1:
            incoming.examine()
        incoming.abort()
        incoming.abort()
    assert objects(tmp_path) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_aborting_after_the_commit_changes_nothing(vault: Vault) -> None:
    data = instance()
    store(vault, data)  # aborts at its end, as doors do
    assert contents(vault) == [data]


@pytest.mark.parametrize("data", [b"", b"not a data set", b"\x08\x00\x16\x00UI\x00\x00"])
def test_what_is_no_data_set_is_refused_and_leaves_nothing(vault: Vault, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadInput):
        store(vault, data)
    assert objects(tmp_path) == []


@pytest.mark.parametrize("missing", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_data_set_without_one_of_the_four_uids_is_refused(vault: Vault, missing: str) -> None:
    with pytest.raises(BadInput, match=missing):
        store(vault, instance(**{missing: None}))


@pytest.mark.parametrize(
    "declared", [Declared(EXPLICIT, sop_class_uid="1.2.3"), Declared(EXPLICIT, sop_instance_uid="1.2.3")]
)
def test_what_is_declared_must_be_true(vault: Vault, declared: Declared) -> None:
    incoming = vault.receive(permit(Action.STORE), declared)
    incoming.write(instance())
    with pytest.raises(NotAsDeclared):
        incoming.examine()
    incoming.abort()


@pytest.mark.parametrize("sop_class", ["1.3.46.670589.2.5.1.1", "1.2.840.10008.1.1"])
def test_private_classes_that_are_not_listed_and_classes_of_other_services_are_refused(
    vault: Vault, tmp_path: Path, sop_class: str
) -> None:
    with pytest.raises(NotTakenIn):
        store(vault, instance(SOPClassUID=sop_class))
    assert objects(tmp_path) == []


def test_a_private_class_that_is_listed_is_taken_in_and_so_is_one_that_the_standard_may_add(tmp_path: Path) -> None:
    settings = VaultSettings(min_free_bytes=0, private_sop_classes=frozenset({"1.3.46.670589.2.5.1.1"}))
    with opened(tmp_path, settings) as vault:
        store(vault, instance(SOPClassUID="1.3.46.670589.2.5.1.1"))
        store(vault, instance(SOPClassUID="1.2.840.10008.5.1.4.1.1.9999", SOPInstanceUID="1.2.9"))
        assert len(contents(vault)) == 2


def test_an_instance_sent_to_another_study_than_its_own_is_refused_and_leaves_nothing(
    vault: Vault, tmp_path: Path
) -> None:
    incoming = vault.receive(permit(Action.STORE), Declared(EXPLICIT, study_uid="1.2.3.5"))
    incoming.write(instance())
    with pytest.raises(NotInStudy):
        incoming.examine()
    incoming.abort()
    assert objects(tmp_path) == []
    declared = Declared(EXPLICIT, study_uid="1.2.3.4")
    incoming = vault.receive(permit(Action.STORE), declared)
    incoming.write(instance())
    incoming.examine()
    assert incoming.commit(permit(Action.STORE)).outcome is Stored.STORED


def test_an_instance_larger_than_allowed_is_refused_on_the_way(tmp_path: Path) -> None:
    with opened(tmp_path, VaultSettings(min_free_bytes=0, max_instance_bytes=1000)) as vault:
        incoming = vault.receive(permit(Action.STORE), Declared(EXPLICIT))
        incoming.write(bytes(900))
        with pytest.raises(Full, match="larger"):
            incoming.write(bytes(200))
        incoming.abort()
        assert objects(tmp_path) == []


def test_an_instance_some_of_which_was_refused_is_never_taken_for_whole(tmp_path: Path) -> None:
    data = instance()
    with opened(tmp_path, VaultSettings(min_free_bytes=0, max_instance_bytes=len(data))) as vault:
        incoming = vault.receive(permit(Action.STORE), Declared(EXPLICIT))
        incoming.write(data)
        with pytest.raises(Full, match="larger"):
            incoming.write(bytes(200))
        with pytest.raises(BadInput, match="not whole"):
            incoming.examine()
        with pytest.raises(BadInput, match="Nothing can be added"):
            incoming.write(data)
        with pytest.raises(BadInput):
            incoming.commit(permit(Action.STORE))
        incoming.abort()
        assert objects(tmp_path) == []


def test_nothing_is_taken_in_when_too_little_would_stay_free(tmp_path: Path) -> None:
    with opened(tmp_path, VaultSettings(min_free_bytes=1 << 60)) as vault, pytest.raises(Full, match="Make room"):
        vault.receive(permit(Action.STORE), Declared(EXPLICIT))


def test_an_instance_is_examined_once_and_committed_after_that(vault: Vault) -> None:
    incoming = vault.receive(permit(Action.STORE), Declared(EXPLICIT))
    incoming.write(instance())
    with pytest.raises(BadInput):
        incoming.commit(permit(Action.STORE))
    incoming.examine()
    with pytest.raises(BadInput):
        incoming.examine()
    with pytest.raises(BadInput):
        incoming.write(b"more")
    incoming.commit(permit(Action.STORE))
    with pytest.raises(BadInput):
        incoming.commit(permit(Action.STORE))


# --- permits ------------------------------------------------------------------


def test_a_permit_for_something_else_stores_nothing(vault: Vault, tmp_path: Path) -> None:
    with pytest.raises(Denied):
        vault.receive(permit(Action.FIND), Declared(EXPLICIT))
    incoming = vault.receive(permit(Action.STORE), Declared(EXPLICIT))
    incoming.write(instance())
    incoming.examine()
    with pytest.raises(Denied):
        incoming.commit(permit(Action.GET))
    incoming.abort()
    assert objects(tmp_path) == []


def test_a_permit_that_does_not_cover_the_study_stores_nothing(vault: Vault, tmp_path: Path) -> None:
    may = permit(Action.STORE, scope=Scope.where(Field.STUDY, "9.9"))
    with pytest.raises(Denied):
        store(vault, instance(), may=may)
    assert located(vault) == []
    assert objects(tmp_path) == []


def test_nobody_gains_a_study_by_adding_to_it(vault: Vault) -> None:
    """A device that may see what it sent must not come to see a study by sending something into it."""
    mine = permit(Action.STORE, scope=Scope.where(Field.SOURCE, "SPY"))
    store(vault, instance(StudyInstanceUID="1.9"), origin="SPY", may=mine)
    store(vault, instance(), origin="CT1")
    with pytest.raises(Denied):
        store(vault, instance(), origin="SPY", may=mine)
    facts = vault.facts(permit(Action.FIND), "1.2.3.4")
    assert facts is not None
    assert facts.sources == {"CT1"}


# --- sending again ------------------------------------------------------------


def test_the_same_instance_again_is_already_here_and_kept_once(vault: Vault, tmp_path: Path) -> None:
    data = instance()
    store(vault, data)
    assert store(vault, data).outcome is Stored.ALREADY_HERE
    assert contents(vault) == [data]
    assert len(objects(tmp_path)) == 1


def test_the_same_content_in_another_encoding_is_already_here_and_the_first_is_kept(vault: Vault) -> None:
    made = data_set()
    first, second = encoded(made), encoded(made, "1.2.840.10008.1.2")
    store(vault, first)
    assert store(vault, second, syntax="1.2.840.10008.1.2").outcome is Stored.ALREADY_HERE
    assert contents(vault) == [first]


def test_many_at_once_with_the_same_uid_leave_one(vault: Vault, tmp_path: Path) -> None:
    data = instance()
    outcomes: list[Stored] = []
    threads = [threading.Thread(target=lambda: outcomes.append(store(vault, data).outcome)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [Stored.ALREADY_HERE] * 7 + [Stored.STORED]
    assert contents(vault) == [data]
    assert len(objects(tmp_path)) == 1


# --- what is recorded ---------------------------------------------------------


def test_metadata_and_frames_are_recorded(vault: Vault) -> None:
    store(vault, instance(NumberOfFrames=2, Rows=4))
    (record,) = located(vault)
    metadata = vault.metadata(permit(Action.GET), record)
    assert metadata["00100010"].get("Value") == [{"Alphabetic": "Doe^Jane"}]
    assert "Value" not in metadata["7FE00010"]
    (whole,) = vault._parts.reading.every_instance(permit(Action.VERIFY))  # pyright: ignore[reportPrivateUsage]
    assert whole.frames is not None
    table = FrameTable.from_bytes(whole.frames)
    ((offset, length),) = table.parts(1)
    with vault.open(permit(Action.GET), record) as reader:
        assert reader.read_at(offset, length) == PIXELS[64:]


# --- sharing transactions -----------------------------------------------------


def test_instances_that_wait_share_a_transaction(tmp_path: Path) -> None:
    with opened(tmp_path, VaultSettings(min_free_bytes=0, linger=0.2)) as vault:
        before = vault.batches
        threads = [threading.Thread(target=store, args=(vault, instance())) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = vault.batches
        assert after.jobs - before.jobs == 12
        assert after.transactions - before.transactions <= 4
        assert len(located(vault)) == 12


def test_one_that_fails_in_a_shared_transaction_fails_alone(tmp_path: Path) -> None:
    with opened(tmp_path, VaultSettings(min_free_bytes=0, linger=0.2)) as vault:
        failed: list[BaseException] = []

        def refused() -> None:
            try:
                store(
                    vault,
                    instance(StudyInstanceUID="1.5"),
                    may=permit(Action.STORE, scope=Scope.where(Field.STUDY, "1")),
                )
            except Denied as error:
                failed.append(error)

        threads = [threading.Thread(target=store, args=(vault, instance(SeriesInstanceUID=f"1.{i}"))) for i in range(6)]
        threads[3:3] = [threading.Thread(target=refused), threading.Thread(target=refused)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(failed) == 2
        assert len(located(vault)) == 6
        assert len(objects(tmp_path)) == 6


# --- secrecy ------------------------------------------------------------------


def test_no_file_shows_names_or_pixels(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        store(vault, instance())
        incoming = vault.receive(permit(Action.STORE), Declared(EXPLICIT))
        incoming.write(instance(PixelData=PIXELS * 3000, Rows=8 * 3000))
        incoming.examine()
        files = [path for path in tmp_path.glob(ALL_FILES) if path.is_file()]
        assert len(files) >= 5
        for path in files:
            held = path.read_bytes()
            for secret in (b"Doe^Jane", b"Jane", b"4711", b"PIXELPATTERN", b"1.2.3.4", "Doe".encode("utf-16-le")):
                assert secret not in held, path.name
                assert secret.decode("latin-1") not in path.name
        incoming.abort()


def test_files_and_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with opened(tmp_path) as vault:
            store(vault, instance())
            for path in tmp_path.glob(ALL_FILES):
                assert path.stat().st_mode & 0o077 == 0, path
    finally:
        os.umask(before)
