"""OHIF's prebuilt site made ours: trimmed, put below our path, without what our policy forbids, compressed.

Rule 1. Every change says how often it is to be found; one time more or less stops
the build, since then the site is not the one that was looked at. Rule 2. Only
files of kinds on the list are taken, and none that asks another host for anything.
Rule 3. The path holds a digest of what was made, so that browsers may keep a file
for ever and never hold an old one for a new.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from vendoring.packages import VendoringError

BASE: Final = "/viewer"
"""Where the site is served."""

MANIFEST: Final = "site.json"
"""What the server reads: the path, the entrance, and every file."""

TYPES: Final[Mapping[str, str]] = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
    ".png": "image/png",
}
"""Media types of what is taken, by the end of the name."""

_PACKED: Final = frozenset({".js", ".css", ".wasm"})
"""What is kept compressed, and only so."""

_LEFT_OUT: Final = (
    "ort/",  # a runtime for models that would be fetched from elsewhere
    "customizations/",
    "silent-refresh.html",
    "google.js",
    "oidc-client.min.js",
    "es6-shim.min.js",
    "polyfill.min.js",
    "init-service-worker.js",
    "sw.js",
    "app-config.js",  # ours is written by the server
)

_NAME: Final = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of the site.

    Parameters
    ----------
    what : str
        What it is for; said when it fails.
    files : str
        Expression for the names of the files it is looked for in.
    pattern : str
        What is replaced.
    by : str
        What it is replaced by; ``{base}`` stands for the path.
    times : int
        How often it is to be found, all files together.
    """

    what: str
    files: str
    pattern: str
    by: str
    times: int


def _ndarray() -> str:
    return Path(__file__).with_name("ndarray.js").read_text("utf-8").strip()


EDITS: Final = (
    Edit(
        "the public path of the scripts", r".+\.js",
        r'(?<=__webpack_require__\.p = )"/";', '"{base}";', 8,
    ),
    Edit("fonts of the style sheet", r"app\.bundle\.css", r"url\(/(?=[0-9a-f]{16}\.woff2\))", "url({base}", 5),
    Edit(
        "the microscopy viewer's path", r"app\.bundle\.[0-9a-f]{16}\.js",
        r"browserImportFunction\('/(?=dicom-microscopy-viewer/)", "browserImportFunction('{base}", 1,
    ),
    # Arrays whose classes are compiled from text: needed to show segmentations, and forbidden by the page's policy.
    Edit(
        "ndarray's compiled classes", r".+\.js",
        r"function compileConstructor\(dtype, dimension\) \{"
        r".*?return procedure\(CACHED_CONSTRUCTORS\[dtype\], order\);?\s*\}",
        _ndarray(), 4,
    ),
    # A function of window and level that it does not know: as if nothing were said (PS3.3 C.11.2.1.2.1), not black.
    Edit(
        "unknown functions of window and level", r".+\.js",
        r"throw new Error\('Invalid VOI LUT function'\);",
        "return toLowHighRange(windowWidth, windowCenter, undefined);", 2,
    ),
    # An object that cannot be read as what it says it is: its series is one that cannot be shown, and the others are.
    Edit(
        "series whose objects are odd", r"app\.bundle\.[0-9a-f]{16}\.js",
        r"(?<=\n        )displaySets = handler\.getDisplaySetsFromSeries\(instances\);",
        "try { displaySets = handler.getDisplaySetsFromSeries(instances); } "
        "catch (error) { displaySets = []; console.warn('A series cannot be read as what it says it is.'); }", 1,
    ),
)  # fmt: skip

WORKERS: Final = (
    r"8097\.bundle\.[0-9a-f]{16}\.js",
    r"polySeg\.bundle\.[0-9a-f]{16}\.js",
    r"compute\.bundle\.[0-9a-f]{16}\.js",
    r"interpolation\.bundle\.[0-9a-f]{16}\.js",
    r"histogram-worker\.bundle\.[0-9a-f]{16}\.js",
    r"dicom-microscopy-viewer/dataLoader\.worker\.min\.js",
)
"""Scripts that workers are made of: each is one file, and alone has the policy that lets codecs compile."""

_SCRIPT: Final = re.compile(r'<script defer src="/(app\.bundle\.[0-9a-f]{16}\.js)"></script>')
_STYLE: Final = re.compile(r'<link href="/(app\.bundle\.css)" rel="stylesheet">')


def site_of(files: Mapping[str, bytes], stamp: str, edits: tuple[Edit, ...] = EDITS) -> dict[str, bytes]:
    """Make the site of a package's files.

    Parameters
    ----------
    files : mapping of str to bytes
        What the package holds.
    stamp : str
        A digest of all that goes into it; its beginning is part of the path.
    edits : tuple of Edit
        What is changed.

    Raises
    ------
    VendoringError
        When the package is not the one these changes are for.
    """
    base = f"{BASE}/{stamp[:16]}/"
    taken = {name.removeprefix("dist/"): data for name, data in files.items() if _is_taken(name)}
    entry = files.get("dist/index.html", b"").decode("utf-8", "replace")
    script, style = _one(_SCRIPT, entry, "its script"), _one(_STYLE, entry, "its style sheet")
    changed = _edited(taken, edits, base)
    listed: dict[str, dict[str, object]] = {}
    made: dict[str, bytes] = {}
    workers = _workers(changed)
    for name, data in sorted(changed.items()):
        is_packed = PurePosixPath(name).suffix in _PACKED
        made[name + ".gz" if is_packed else name] = gzip.compress(data, 9, mtime=0) if is_packed else data
        listed[name] = {
            "type": TYPES[PurePosixPath(name).suffix],
            "digest": hashlib.sha256(data).hexdigest()[:32],
            "octets": len(data),
            "packed": is_packed,
            "worker": name in workers,
        }
    manifest = {"base": base, "script": script, "style": style, "files": listed}
    made[MANIFEST] = json.dumps(manifest, indent=1, sort_keys=True).encode()
    made["LICENSE.txt"] = files.get("LICENSE", b"")
    return made


def _is_taken(name: str) -> bool:
    if not name.startswith("dist/"):
        return False
    inner = name.removeprefix("dist/")
    if inner.startswith("assets/") and not inner.startswith("assets/images/"):
        return False  # icons of OHIF's own
    is_kind = PurePosixPath(inner).suffix in TYPES and _NAME.fullmatch(inner) is not None
    return is_kind and not inner.startswith(_LEFT_OUT)


def _one(pattern: re.Pattern[str], text: str, what: str) -> str:
    found = pattern.findall(text)
    if len(found) != 1:
        raise VendoringError(f"The viewer's page names {what} {len(found)} times, not once. {_LOOK}")
    return str(found[0])


_LOOK: Final = "Look at the package, and at vendoring/viewer.py, before the lock moves."


def _edited(files: Mapping[str, bytes], edits: tuple[Edit, ...], base: str) -> dict[str, bytes]:
    changed = dict(files)
    for edit in edits:
        names, pattern, by = (
            re.compile(edit.files),
            re.compile(edit.pattern, re.DOTALL),
            edit.by.replace("{base}", base),
        )
        total = 0
        for name in [name for name in changed if names.fullmatch(name)]:
            text, times = pattern.subn(lambda _, by=by: by, changed[name].decode("utf-8"))
            if times:
                changed[name] = text.encode("utf-8")
                total += times
        if total != edit.times:
            raise VendoringError(f"{edit.what} was found {total} times, not {edit.times}. {_LOOK}")
    return changed


def _workers(files: Mapping[str, bytes]) -> frozenset[str]:
    found: set[str] = set()
    for worker in WORKERS:
        matching = [name for name in files if re.fullmatch(worker, name)]
        if len(matching) != 1:
            raise VendoringError(f"{len(matching)} files are called {worker}, not one. {_LOOK}")
        found |= set(matching)
    return frozenset(found)
