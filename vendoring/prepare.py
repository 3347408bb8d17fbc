"""Prepares what we ship of others into the package's folders, once for each state of the lock.

Rule: a folder appears whole or not at all; its stamp names the lock and the code
that made it, so that a second build has nothing to do.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from vendoring.packages import VendoringError, fetched, files_of, locked
from vendoring.viewer import site_of

PAGES: Final = Path("src/leadglass/doors/pages")
HTMX: Final = PAGES / "vendor"
VIEWER: Final = PAGES / "viewer" / "site"

SKIP: Final = "LEADGLASS_NO_VIEWER"
"""Set to anything: a build without the viewer and without htmx. Pages work; their scripts and the viewer lack."""

STAMP: Final = ".made"

Made = Mapping[str, bytes]


def prepare(root: Path, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Prepare everything below a checkout; gives the names of what was made anew.

    Parameters
    ----------
    root : Path
        The checkout, or an unpacked source distribution.
    environment : mapping of str to str
        Variables that change what is done.

    Raises
    ------
    VendoringError
        When something is not what was reviewed.
    """
    if environment.get(SKIP):
        return []
    packages = locked()
    made: list[str] = []
    for name, (folder, maker) in _MAKERS.items():
        package, target = packages[name], root / folder
        stamp = _stamp(package.integrity)
        if _has(target, stamp):
            continue
        print(f"Preparing {package.package} {package.version} …", file=sys.stderr)
        _put(target, {**maker(files_of(fetched(package, environment)), stamp), STAMP: stamp.encode("ascii")})
        made.append(name)
    return made


def _htmx(files: Made, _: str) -> Made:
    try:
        return {"htmx.min.js": files["dist/htmx.min.js"], "htmx.LICENSE.txt": files["LICENSE"]}
    except KeyError as error:
        raise VendoringError(
            f"htmx has no file {error} any more. Look at the package before its lock moves."
        ) from error


_MAKERS: Final[Mapping[str, tuple[Path, Callable[[Made, str], Made]]]] = {
    "htmx": (HTMX, _htmx),
    "viewer": (VIEWER, site_of),
}
"""Where each package of the lock goes, and what is made of it."""


def prepared(root: Path, environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether there is nothing left to prepare."""
    packages = locked()
    return bool(environment.get(SKIP)) or all(
        _has(root / folder, _stamp(packages[name].integrity)) for name, (folder, _) in _MAKERS.items()
    )


def _has(target: Path, stamp: str) -> bool:
    path = target / STAMP
    return path.is_file() and path.read_text("ascii") == stamp


def _stamp(integrity: str) -> str:
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.[pj][ys]")))
    return hashlib.sha256(integrity.encode("ascii") + sources).hexdigest()


def _put(target: Path, files: Made) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    drafts = Path(tempfile.mkdtemp(prefix=".draft-", dir=target.parent))
    try:
        fresh = drafts / "new"
        fresh.mkdir()
        for name, data in files.items():
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if target.exists():
            target.rename(drafts / "old")
        fresh.rename(target)
    finally:
        shutil.rmtree(drafts, ignore_errors=True)
