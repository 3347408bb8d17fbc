"""Studies for the list, each sent as a program sends them, and what a page shows of them."""

import html
import re
from collections.abc import Mapping

from tests.doors.dicomweb.stowhouse import RELATED, file_of, multipart
from tests.peers.web import Web


class Sender:
    """A program that stores studies by STOW-RS.

    Parameters
    ----------
    web : Web
        Where.
    name : str
        What its token is called.
    """

    def __init__(self, web: Web, name: str) -> None:
        self._web = web
        self._token = web.token(name=name)

    def send(self, *studies: Mapping[str, object]) -> None:
        """Store one instance of each study."""
        files = [
            file_of(
                **{
                    "SeriesInstanceUID": f"{each['StudyInstanceUID']}.1",
                    "SOPInstanceUID": f"{each['StudyInstanceUID']}.1.1",
                    **each,
                }
            )
            for each in studies
        ]
        with self._web.client(self._token) as client:
            answer = client.post("/dicom-web/studies", content=multipart(*files), headers={"content-type": RELATED})
            assert answer.status_code == 200, answer.text


def rows(page: str) -> list[str]:
    """Give the UIDs of a page's rows, in their order."""
    return re.findall(r'<th scope="row"><a class="clamped" href="/studies/([0-9.]+)"', page)


def count(page: str) -> str:
    """Give what a page says of how many there are."""
    found = re.search(r'id="count">(.*?)</p>', page, re.DOTALL)
    assert found, page
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", found[1]).split()))
