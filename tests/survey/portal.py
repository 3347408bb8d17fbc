"""A login portal in plain HTTP that takes what it is told to take, and counts what is tried."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_hex
from urllib.parse import parse_qs

CANARY = "CANARYPORTAL"

_LOGIN = """<html><head><title>{mark} Hospital</title></head><body>
<form action="/signin?at={mark}" method="POST"><input type="hidden" name="csrf" value="{token}">
<input name="who{mark}"><input type="password" name="pw"><input type="submit"></form></body></html>"""
_INSIDE = """<html><title>{mark}</title><a href="/patients?{mark}">Patients</a><a href="/logout">Bye</a></html>"""


@dataclass(slots=True)
class Portal:
    """What it saw.

    Parameters
    ----------
    port : int
        Where it listens on 127.0.0.1.
    tries : list of (str, str)
        Pairs, in their order.
    sessions : set of str
        Who is signed in now.
    left : int
        How often somebody logged out.
    """

    port: int = 0
    tries: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    sessions: set[str] = field(default_factory=set[str])
    opened: int = 0
    left: int = 0


@contextmanager
def portal(  # noqa: C901 - a whole server
    takes: Callable[[str, str], bool], *, address: str = "127.0.0.1", port: int = 0, mark: str = CANARY
) -> Generator[Portal]:
    """Run one that lets in whom ``takes`` says."""
    seen = Portal()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 2  # who says nothing that is HTTP is let go of

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
            pass

        def _session(self) -> str:
            for part in self.headers.get("Cookie", "").split(";"):
                name, _, value = part.strip().partition("=")
                if name == "session" and value in seen.sessions:
                    return value
            return ""

        def _say(self, status: int, body: str = "", **headers: str) -> None:
            raw = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(raw)))
            self.send_header("X-House", mark)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(raw)

        def do_GET(self) -> None:
            if self.path.startswith("/logout"):
                seen.left += bool(self._session())
                seen.sessions.discard(self._session())
                self._say(302, Location="/login")
            elif self.path.startswith("/login"):
                self._say(
                    200, _LOGIN.format(mark=mark, token=token_hex(8)), Set_Cookie=f"before={token_hex(4)}; Path=/"
                )
            elif self._session():
                self._say(200, _INSIDE.format(mark=mark))
            else:
                self._say(302, Location=f"/login?from={mark}")

        def do_POST(self) -> None:
            said = parse_qs(
                self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode(), keep_blank_values=True
            )
            assert said["csrf"][0]
            pair = (said[f"who{mark}"][0], said["pw"][0])
            seen.tries.append(pair)
            if takes(*pair):
                session = token_hex(8)
                seen.sessions.add(session)
                seen.opened += 1
                self._say(303, Location=f"/home?{mark}", Set_Cookie=f"session={session}; HttpOnly")
            else:
                self._say(200, _LOGIN.format(mark=mark, token=token_hex(8)))

    server = ThreadingHTTPServer((address, port), Handler)
    seen.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
