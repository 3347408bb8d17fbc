from pathlib import Path

from pydicom import dcmread  # pyright: ignore[reportUnknownVariableType]

from benchmarks.made_up import PER_STUDY, file_in_bulk, study
from leadglass.vault.vault import Vault
from tests.vault.sets import opened, store

OURS = {"key", "shelf", "object", "received", "moment"}
"""Columns that differ between any two filings: keys and names are random, and time goes on."""

STUDIES = 40


def rows(vault: Vault) -> dict[str, list[dict[str, object]]]:
    """Give every row of the index without what is random."""
    found: dict[str, list[dict[str, object]]] = {}
    with vault._parts.reading.connected() as connection:  # pyright: ignore[reportPrivateUsage]
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            read = connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - the index's own tables
            names = [str(column[0]) for column in read.description]
            found[table] = sorted(
                ({name: value for name, value in zip(names, row, strict=True) if name not in OURS} for row in read),
                key=repr,
            )
    return found


def without(found: dict[str, list[dict[str, object]]], *columns: str) -> dict[str, list[dict[str, object]]]:
    return {
        table: [{name: value for name, value in row.items() if name not in columns} for row in listed]
        for table, listed in found.items()
    }


def test_what_is_filed_in_bulk_has_the_rows_that_storing_makes(tmp_path: Path) -> None:
    (tmp_path / "bulk").mkdir()
    (tmp_path / "stored").mkdir()
    with opened(tmp_path / "bulk") as bulk, opened(tmp_path / "stored") as stored:
        file_in_bulk(bulk, 0, STUDIES)
        for number in range(STUDIES):
            for which in range(PER_STUDY):
                store(stored, study(number).encoded(which), origin="MADEUP")
        made, real = rows(bulk), rows(stored)
    assert len(real["instance"]) == STUDIES * PER_STUDY
    # Bytes and digest of all but the first instance of a study are not worked out in bulk.
    assert without(made, "size", "digest") == without(real, "size", "digest")
    firsts = [
        [(row["size"], row["digest"]) for row in found["instance"] if str(row["sop_instance_uid"]).endswith(".1.1")]
        for found in (made, real)
    ]
    assert firsts[0] == firsts[1]


def test_studies_are_of_all_kinds_and_always_the_same() -> None:
    made = [study(number) for number in range(3_000)]
    study.cache_clear()
    assert made == [study(number) for number in range(3_000)]
    for values in ({one.patient_name for one in made}, {one.date for one in made}, {one.kind for one in made}):
        assert len(values) >= 5
    assert len({one.uid for one in made}) == 3_000


def test_a_made_up_file_is_a_dicom_file(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(study(number).file(3))
        assert str(dcmread(path).PatientName) == study(number).patient_name
