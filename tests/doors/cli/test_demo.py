"""The demo: its samples are sound, and every command it prints does what it says."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread  # pyright: ignore[reportUnknownVariableType] - pydicom's os.PathLike

from leadglass.doors.cli.samples import head, samples, to_send
from tests.peers.dcmtk import Dcmtk


def test_the_samples_are_phantoms_of_several_kinds_and_always_the_same() -> None:
    made = list(samples())
    sets = [dcmread(BytesIO(sample.file)) for sample in made]
    assert Counter(sample.modality for sample in made) == {"CT": 40, "MR": 24, "US": 1, "DX": 1, "SR": 1}
    assert len({sample.study_uid for sample in made}) == 5
    assert len({ds.SOPInstanceUID for ds in sets}) == len(made)
    assert all("hantom" in str(ds.PatientName) or "Φάντασμα" in str(ds.PatientName) for ds in sets)
    assert {str(ds.get("SpecificCharacterSet")) for ds in sets} == {
        "ISO_IR 192",
        "ISO_IR 126",
        "['', 'ISO 2022 IR 87']",
    }
    assert [sample.file for sample in made[:2]] == [sample.file for _, sample in zip(range(2), samples(), strict=False)]
    assert to_send().study_uid not in {sample.study_uid for sample in made}


def test_the_head_is_where_it_should_be() -> None:
    slice_ = head(128, 0.0)
    assert slice_[0, 0] == 0.0
    assert slice_[64, 64] > 0.0
    assert slice_[5:12, 64].max() == pytest.approx(1.0)
    assert not head(64, 0.99).any()


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed: apt-get install dicom3tools")
def test_the_samples_obey_the_standard(tmp_path: Path) -> None:
    by_modality = {sample.modality: sample for sample in samples()}
    for modality, sample in by_modality.items():
        path = tmp_path / modality
        path.write_bytes(sample.file)
        ran = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in ran.stderr, f"{modality}: {ran.stderr}"


@contextmanager
def _demo() -> Generator[tuple["subprocess.Popen[str]", str]]:
    """Run the demo; gives its process and what it printed."""
    command = [sys.executable, "-m", "leadglass", "demo", "--dicom-tls", "127.0.0.1:0", "--dicom", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = ""
        try:
            while "Ctrl-C stops it" not in printed:
                line = process.stdout.readline()
                if not line:
                    assert process.stderr is not None
                    pytest.fail(f"the demo did not start: {process.stderr.read()}")
                printed += line
            yield process, printed
        finally:
            if process.poll() is None:
                process.kill()


def _trials(printed: str) -> tuple[Path, list[tuple[str, str]]]:
    """Read the commands back from what was printed: the folder, and each command with its title."""
    _, _, rest = printed.partition("\ncd ")
    folder, _, rest = rest.partition("\n")
    trials: list[tuple[str, str]] = []
    for block in ("\n" + rest).split("\n\n# ")[1:]:
        title, _, command = block.partition("\n")
        trials.append((title, command.partition("\n\nTo look at the images")[0]))
    return Path(folder), trials


def test_every_command_the_demo_prints_works_as_printed(dcmtk: Dcmtk, tmp_path: Path) -> None:
    assert dcmtk
    # DCMTK first, as on an operator's machine; pynetdicom brings programs of the same names. python3 is ours.
    (tmp_path / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    usual = [part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != Path(sys.executable).parent]
    environment = {**os.environ, "PATH": os.pathsep.join([str(tmp_path), *usual])}
    with _demo() as (process, printed):
        folder, trials = _trials(printed)
        assert len(trials) >= 21
        said: dict[str, str] = {}
        for title, command in trials:
            ran = subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=120,
                check=False,
            )
            said[title] = said.get(title, "") + ran.stdout + ran.stderr
            assert (ran.returncode != 0) == title.startswith("Refused"), f"{title}: {said[title]}"
        assert len(list((folder / "got").iterdir())) == 41, "40 slices by C-GET over TLS, one image by C-MOVE over TLS"
        assert len(list((folder / "got-plain").iterdir())) == 25, "24 slices by C-GET, one cine by C-MOVE"
        assert (folder / "mr.zip").is_file()
        assert (folder / "phantom.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / "demo" / "token").stat().st_mode & 0o077 == 0
        assert "24 images fetched" in said["DICOMweb, with dicomweb-client (pip install dicomweb-client)"]
        assert said["DICOMweb (the token in demo/token counts for an hour): the studies"].count("Phantom^") >= 5
        assert "00081199" in said["DICOMweb: send an image"], "it is among the Referenced SOP Sequence"
        assert "401" in said["Refused: DICOMweb without a token"]
        assert "SOMEBODY" in said["What happened, and why"]
        assert "68 instances" in said["Is everything on the disk as it was received?"]
        for name in ("Alpha", "Beta", "Gamma", "Epsilon", "Zeta"):
            assert said["Query"].count(f"[Phantom^{name}") == 2, "over TLS, and without"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert not folder.exists()


def test_the_demo_announces_its_doors_to_programs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "leadglass", "demo", "--json", "--http", "127.0.0.1:0"]
    command += ["--dicom-tls", "127.0.0.1:0", "--dicom", "[::1]:0"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        *lines, last = [process.stdout.readline() for _ in range(4)]
        assert {json.loads(line)["ready"] for line in lines} == {"https", "dicom-tls", "dicom"}
        assert '"[::1]:' in "".join(lines)
        assert last == '{"ready": "all"}\n'
        assert list(tmp_path.iterdir())
        process.terminate()
        assert process.wait(60) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_demo_can_be_kept_in_a_folder_of_ones_own_that_goes_too(tmp_path: Path) -> None:
    data = tmp_path / "mine"
    doors = ["--http", "127.0.0.1:0", "--dicom-tls", "127.0.0.1:0", "--dicom", "127.0.0.1:0"]
    command = [sys.executable, "-m", "leadglass", "demo", "--json", *doors, "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert '"all"' in [process.stdout.readline() for _ in range(4)][-1]
        assert (data / "index.db").is_file()
        process.terminate()
        assert process.wait(60) == 0
    assert not data.exists()


def test_the_demo_does_not_take_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    command = [sys.executable, "-m", "leadglass", "demo", "--data", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 2
    assert "not empty" in ran.stderr
    assert (tmp_path / "thesis.txt").is_file()


def test_the_demo_leaves_nothing_behind_when_it_cannot_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "leadglass", "demo", "--dicom-tls", "8.8.8.8:0"]
    ran = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}, timeout=120, check=False
    )
    assert ran.returncode == 1
    assert "unsafe_listen_on_public_address" in ran.stderr
    assert list(tmp_path.iterdir()) == []
