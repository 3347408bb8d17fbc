"""The routes of the real door, for tests that walk all of them: none is listed by hand, so none is forgotten."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

from leadglass import config, webserving
from leadglass.app import App
from leadglass.archive.archive import Archive
from leadglass.audit.refusals import Refusals
from leadglass.dicom.renderer import Renderer
from leadglass.dicom.transcode import Transcoder
from leadglass.doors.threads import Pool, Threads
from leadglass.doors.web.dispatch import WebApp
from leadglass.doors.web.gate import Gate
from leadglass.doors.web.routes import Route
from leadglass.folder import Folder
from leadglass.identity.contacts import CONTACTS_FILE, Contacts
from leadglass.identity.visitors import Visitors
from leadglass.keydesk import expected_lock
from leadglass.lookout import Lookout
from leadglass.parts import Parts, opened
from tests.peers.web import Web


def routes_of(parts: Parts) -> tuple[Route, ...]:
    """Assemble the door as the server does, and give its routes."""
    pool = Pool(1, "walk")
    threads = Threads(pool)
    refusals = Refusals(parts.audit)
    transcoder, renderer = Transcoder(), Renderer()
    contacts = Contacts(parts.folder.path / CONTACTS_FILE, parts.derive("contacts database"))
    try:
        server = webserving.make(
            parts,
            archive=Archive(parts.vault, parts.audit, door="dicomweb"),
            pages=Archive(parts.vault, parts.audit, door="pages"),
            threads=threads,
            desk=threads,
            clerk=threads,
            transcoder=transcoder,
            renderer=renderer,
            visitors=Visitors(refusals),
            hosts=frozenset({"localhost"}),
            devices_desk=webserving.devices_desk(parts, "LEADGLASS", None, contacts, threads, []),
            lookout=Lookout(parts, contacts, lambda: pool.counts, lambda: 0),
        )
        return cast("WebApp", cast("Gate", server.app).app).routes
    finally:
        contacts.close()
        refusals.close()
        renderer.close()
        transcoder.close()
        pool.close(5)


def filled(path: str) -> str:
    """Give a real path for a route's."""
    for part in ("{frames}", "{frame}"):
        path = path.replace(part, "1")
    while "{" in path:
        path = path[: path.index("{")] + "1.2.3" + path[path.index("}") + 1 :]
    return path


@contextmanager
def parts_of(web: Web) -> Generator[Parts]:
    """Open the parts of a running archive, as the server does."""
    folder, said = Folder(web.leadglass.data), config.load(web.leadglass.data)
    key = App()._keyring(folder).unlock(expected_lock(said))  # pyright: ignore[reportPrivateUsage]
    with opened(folder, said, key) as parts:
        yield parts
