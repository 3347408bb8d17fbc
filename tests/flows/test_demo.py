"""``leadglass demo``: everything it prints to paste is pasted, and does what it says."""

import os
import sys
from pathlib import Path

import pytest

from tests.peers.dcmtk import Dcmtk
from tests.peers.running import run, running, wait_until


@pytest.mark.timeout(300)
def test_what_the_demo_prints_can_be_pasted(dcmtk: Dcmtk, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "python3").symlink_to(sys.executable)
    for name in ("echoscu", "storescu", "findscu", "getscu", "movescu", "storescp"):
        (tools / name).symlink_to(dcmtk.program(name))
    log = tmp_path / "demo.log"
    command = [sys.executable, "-m", "leadglass", "demo", "--dicom-tls", "127.0.0.1:0", "--dicom", "127.0.0.1:0"]
    environment = {"PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)}
    with running(command, log=log, env=environment) as demo:
        wait_until(lambda: demo.poll() is not None or "audit verify" in log.read_text(), "the demo is up", seconds=120)
        assert demo.poll() is None, log.read_text()
        printed = log.read_text()
        start = printed.index("\ncd ") + 1
        end = printed.index("\n", printed.index("audit verify")) + 1
        path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        # Symbolic links to Python lose its virtual environment, so the packages are named.
        packages = os.pathsep.join(p for p in sys.path if "site-packages" in p)
        done = run(["bash", "-c", printed[start:end]], timeout=200, env={"PATH": path, "PYTHONPATH": packages})
        folder = Path(printed[start:].split("\n", 1)[0].removeprefix("cd ").strip("'\""))
        said = done.said
        assert done.code == 0, said
        assert "Traceback" not in said, said
        assert said.count("Received Echo Response (Success)") == 2, said
        assert said.count("Received Store Response (Success)") == 2, said
        assert "images in got/" in said, said
        assert list((folder / "got").iterdir()), said
        assert list((folder / "got-plain").iterdir()), said
        assert "refused" in said, said
    wait_until(lambda: not folder.exists(), "the demo has cleaned up after itself")
