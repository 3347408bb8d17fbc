"""Apache with WebDAV and listings of a folder, on one port of loopback."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.peers.running import find_program, free_port, is_listening, running, wait_until

_MODULES = Path("/usr/lib/apache2/modules")
_NAMES = ("mpm_event", "authn_core", "authz_core", "authz_user", "auth_basic", "authn_file", "dav", "dav_fs",
          "autoindex", "dir")  # fmt: skip
_CONFIGURATION = """ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
{modules}
{user}
DAVLockDB {folder}/lock
DocumentRoot {files}
<Directory {files}>
{lines}
</Directory>
"""


@contextmanager
def apache(folder: Path, files: Path, lines: str) -> Generator[int]:
    """Run it with these lines for its one directory; gives its port."""
    program = find_program("apache2")
    if program is None or not (_MODULES / "mod_dav_fs.so").exists():
        pytest.skip("Apache is not installed: apt-get install apache2-bin")
    folder.mkdir()
    port = free_port()
    modules = "\n".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in _NAMES)
    user = "User nobody\nGroup nogroup" if Path("/proc/self").stat().st_uid == 0 else ""
    text = _CONFIGURATION.format(folder=folder, port=port, modules=modules, user=user, files=files, lines=lines)
    (folder / "apache.conf").write_text(text)
    with running([program, "-X", "-f", folder / "apache.conf"], log=folder / "out") as process:
        wait_until(lambda: is_listening(port) or process.poll() is not None, "Apache listens")
        assert process.poll() is None, (folder / "out").read_text()
        yield port
