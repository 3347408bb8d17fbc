"""NFS of another maker, in user space: nfs-ganesha with exports of the test's own."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.running import find_program, free_port, is_listening, running, wait_until

_CORE = """NFS_CORE_PARAM {{
    NFS_Port = {port}; MNT_Port = {mount}; Protocols = {protocols}; Bind_addr = {address};
    Enable_NLM = false; Enable_RQUOTA = false; Plugins_Dir = /usr/lib/x86_64-linux-gnu/ganesha;
}}
NFSV4 {{
    Minor_Versions = {minors}; Graceless = true; RecoveryRoot = "{folder}"; RecoveryBackend = fs;
    Only_Numeric_Owners = true;
}}
"""
_EXPORT = """EXPORT {{
    Export_Id = {number}; Path = "{path}"; Pseudo = "{pseudo}"; {access} Squash = All_Squash;
    SecType = none, sys; Protocols = {protocols}; Transports = TCP; PrivilegedPort = {privileged};
    FSAL {{ Name = VFS; }}
    {client}
}}
"""

_BOTH = """mount -t tmpfs none /run || exit 1
"$0" -f & first=$!
until [ -S /run/rpcbind.sock ]; do sleep 0.05; done
"$@" & second=$!
trap 'kill $first $second' TERM
wait
"""
"""The portmapper's socket and lock lie in /run."""


@dataclass(frozen=True, slots=True)
class Export:
    """One folder that is exported.

    Parameters
    ----------
    path : Path
        Which.
    pseudo : str
        Where NFS 4 shows it.
    machine : str
        For whom alone; empty for everybody.
    privileged : bool
        Whether one has to come from a port below 1024.
    lines : str
        What its block says of who may, instead of all that.
    """

    path: Path
    pseudo: str
    machine: str = ""
    privileged: bool = False
    lines: str = ""


@contextmanager
def ganesha(
    folder: Path,
    exports: Sequence[Export],
    *,
    minors: str = "0, 1, 2",
    with_mountd: bool = False,
    port: int = 0,
    address: str = "127.0.0.1",
) -> Generator[int]:
    """Run it; gives its port. With mountd it speaks NFS 3 too, and a portmapper runs beside it on port 111."""
    program, portmapper = find_program("ganesha.nfsd"), find_program("rpcbind")
    if program is None:
        pytest.skip("nfs-ganesha is not installed: apt-get install nfs-ganesha-vfs")
    if Path("/proc/self").stat().st_uid != 0:
        pytest.skip("nfs-ganesha is run by root only.")
    folder.mkdir()
    port = port or free_port()
    protocols = "3, 4" if with_mountd else "4"
    text = _CORE.format(
        port=port, mount=free_port(), protocols=protocols, minors=minors, folder=folder, address=address
    )
    for number, export in enumerate(exports, 1):
        client = f"CLIENT {{ Clients = {export.machine}; Access_Type = RO; }}" if export.machine else ""
        text += _EXPORT.format(
            number=number,
            path=export.path,
            pseudo=export.pseudo,
            access=export.lines or ("Access_Type = NONE;" if client else "Access_Type = RO;"),
            protocols=protocols,
            privileged=str(export.privileged).lower(),
            client=client,
        )
    (folder / "ganesha.conf").write_text(text)
    options = ("-f", folder / "ganesha.conf", "-L", folder / "log", "-p", folder / "pid", "-N", "NIV_EVENT")
    command: list[str | Path] = [program, "-F", *options]
    if with_mountd:
        if portmapper is None:
            pytest.skip("rpcbind is not installed: apt-get install rpcbind")
        command = ["unshare", "--mount", "sh", "-c", _BOTH, portmapper, *command]
    with running(command, log=folder / "out") as process:
        wait_until(lambda: is_listening(port, address) or process.poll() is not None, "nfs-ganesha listens")
        if process.poll() is not None:
            said = (folder / "log").read_text(errors="replace") if (folder / "log").exists() else ""
            pytest.skip("nfs-ganesha does not run here: " + said[-300:])
        yield port
