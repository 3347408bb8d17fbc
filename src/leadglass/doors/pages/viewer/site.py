"""The viewer's files, as the build prepared them.

Rule: what is served is what the manifest lists; nothing of a request is a file's
name. Each file's policy is settled here: only scripts that workers are made of may
have code compiled, and a worker has the policy of its own script alone.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

PAGE_POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; worker-src 'self'; media-src 'self' blob:; object-src 'none'; "
    "frame-src 'none'; manifest-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "report-uri /viewer/reports"
)
"""What the viewer's page may do: styles of its own making, and no code but our files."""

WORKER_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "report-uri /viewer/reports"
)
"""What the scripts of workers may do: the codecs in them compile code of their own. They see pixels and no page."""

_MANIFEST: Final = "site.json"


@dataclass(frozen=True, slots=True)
class SiteFile:
    """One file.

    Parameters
    ----------
    path : Path
        Where it lies.
    type : str
        Its media type.
    digest : str
        Of what it holds, uncompressed.
    packed : bool
        Whether it lies there compressed (gzip).
    worker : bool
        Whether workers are made of it.
    """

    path: Path
    type: str
    digest: str
    packed: bool
    worker: bool

    @property
    def policy(self) -> str:
        """The content security policy of its answer."""
        return WORKER_POLICY if self.worker else PAGE_POLICY


@dataclass(frozen=True, slots=True)
class Site:
    """The whole.

    Parameters
    ----------
    base : str
        What every path begins with; it holds a digest of the whole.
    script, style : str
        Names of what the page loads.
    files : dict of str to SiteFile
        By their names below ``base``.
    """

    base: str
    script: str
    style: str
    files: dict[str, SiteFile]


class _Listed(msgspec.Struct):
    type: str
    digest: str
    packed: bool
    worker: bool


class _Manifest(msgspec.Struct):
    base: str
    script: str
    style: str
    files: dict[str, _Listed]


def read_site(folder: Path | None = None) -> Site | None:
    """Read what the build made; None where it made nothing (``LEADGLASS_NO_VIEWER``).

    Parameters
    ----------
    folder : Path, optional
        Where it lies; without it, beside this module.
    """
    folder = folder or Path(str(files(__package__ or "leadglass.doors.pages.viewer").joinpath("site")))
    manifest = folder / _MANIFEST
    if not manifest.is_file():
        return None
    read = msgspec.json.decode(manifest.read_bytes(), type=_Manifest)
    listed = {
        name: SiteFile(
            folder / (name + ".gz" if each.packed else name), each.type, each.digest, each.packed, each.worker
        )
        for name, each in read.files.items()
    }
    return Site(read.base, read.script, read.style, listed)
