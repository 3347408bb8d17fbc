"""Pictures: what rendered resources and thumbnails share.

Rule: what cannot be shown is told apart from what was asked wrongly: 406, as
against 400; the caller can have such an instance as it is.
"""

import hashlib
from http import HTTPStatus
from typing import Final

from leadglass import __version__
from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom.render_model import PictureFormat, Viewport, Wish, WishFault
from leadglass.dicom.render_read import without_windows
from leadglass.dicom.renderer import Renderer, Stored
from leadglass.doors.dicomweb.annotations import lines_of
from leadglass.doors.dicomweb.looking import Looking
from leadglass.doors.dicomweb.metadata import is_listed
from leadglass.doors.dicomweb.rendered_query import Annotation, RenderQuery
from leadglass.doors.web.problem import HttpFault
from leadglass.errors import BadInput, Full, Unsupported

NOT_SHOWN: Final = HTTPStatus.NOT_ACCEPTABLE
"""The status of what is here and cannot be rendered."""

FEW: Final = 0.005
"""What part of the values, at either end, does not make the others darker or lighter where people only look around.

Of a rendered resource every value counts (docs/dicomweb.md).
"""


class Pictures:
    """Makes pictures of located instances, after ``looking`` at them.

    Parameters
    ----------
    renderer : Renderer
        Makes them in workers.
    """

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self.looking = Looking()

    @property
    def together(self) -> int:
        """Threads that make pictures at one time: while a worker draws, another frame is read."""
        return self._renderer.workers + 2

    def wish(self, query: RenderQuery, media: str) -> Wish:
        """Give what a query wants, in a media type."""
        return Wish(
            format=PictureFormat(media),
            viewport=query.viewport,
            window=query.window,
            quality=query.quality,
            icc=query.icc,
            is_thumbnail=not query.may_enlarge,
        )

    def thumbnail(self, viewport: Viewport, media: str) -> Wish:
        """Give what a thumbnail is."""
        return Wish(format=PictureFormat(media), viewport=viewport, quality=80, is_thumbnail=True, leaves_out=FEW)

    def make(
        self,
        retrieval: Retrieval,
        record: InstanceRecord,
        frames: tuple[int, ...],
        wish: Wish,
        annotations: frozenset[Annotation],
        who: str,
        *,
        is_automatic: bool = False,
    ) -> bytes:
        """Make a picture and count it.

        Parameters
        ----------
        retrieval : Retrieval
            What was located, and how the caller may see it.
        record : InstanceRecord
            Of which instance.
        frames : tuple of int
            Counted from 1; several make a cine.
        wish : Wish
            How.
        annotations : frozenset of Annotation
            What is drawn on it.
        who : str
            On whose behalf, for fair turns.
        is_automatic : bool
            Whether gray goes from the darkest to the brightest value, whatever the data set says.

        Raises
        ------
        HttpFault
            406 when it cannot be shown.
        WishFault
            When the wish does not fit it.
        Unsupported
            When it is withheld from the caller.
        """
        seen = self.looking.at(retrieval, record)
        lines = lines_of(retrieval.metadata(record), annotations) if annotations else ()
        with retrieval.open(record) as reader:
            attributes = without_windows(seen.attributes) if is_automatic else seen.attributes
            stored = Stored(attributes, record.transfer_syntax_uid, reader, seen.table)
            try:
                picture = self._renderer.render(stored, [number - 1 for number in frames], wish, lines, who)
            except WishFault:
                raise
            except (BadInput, Full, Unsupported) as error:
                raise HttpFault(NOT_SHOWN, error.message) from None
        retrieval.read((record,), len(picture.data))
        return picture.data


def tag_of(retrieval: Retrieval, variant: str) -> str:
    """Give the entity tag of a picture: another when what is shown, or how, is another."""
    digest = hashlib.sha256(f"{__version__} {variant} ".encode())
    digest.update(retrieval.fingerprint())
    return f'"{digest.hexdigest()[:40]}"'


def unchanged(tag: str, known: str) -> bool:
    """Say whether the client has it already (If-None-Match)."""
    return bool(known) and is_listed(tag, known)
