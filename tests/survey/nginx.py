"""nginx with a configuration of the test's own, on one port, of loopback where nothing else is said."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.peers.running import find_program, free_port, is_listening, running, wait_until

_AROUND = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
{user}
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {address}:{port};
        {lines}
    }}
}}
"""


@contextmanager
def nginx(folder: Path, lines: str, *, address: str = "127.0.0.1", port: int = 0) -> Generator[int]:
    """Run it with these lines in its server; gives its port."""
    program = find_program("nginx")
    if program is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    user = "user root;" if Path("/proc/self").stat().st_uid == 0 else ""
    (folder / "nginx.conf").write_text(
        _AROUND.format(folder=folder, user=user, address=address, port=port, lines=lines)
    )
    with running([program, "-c", folder / "nginx.conf"], log=folder / "nginx.log"):
        wait_until(lambda: is_listening(port, address), "nginx listens")
        yield port
