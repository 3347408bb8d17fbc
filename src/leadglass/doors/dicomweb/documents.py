"""Documents: an encapsulated PDF as itself (PS3.3 A.45.1, PS3.18 table 8.7.4-1).

Rule: a document is given only as what it says that it is, never to be shown in
the archive's own pages, and only where the caller's view reaches into it.
"""

import base64
from collections.abc import Sequence
from typing import Final

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom import tags
from leadglass.dicom.inflate import plain
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes, JsonElement, bulk_location
from leadglass.dicom.render_read import integer, texts
from leadglass.doors.dicomweb.accept import NotAcceptable, Offer, Wanted, choose
from leadglass.doors.dicomweb.pumping import Blocks, Pause, Prepared

PDF: Final = "application/pdf"
_PIECE: Final = 1 << 20


def document_of(
    retrieval: Retrieval, record: InstanceRecord, attributes: Attributes, wanted: Sequence[Wanted]
) -> Prepared:
    """Give an encapsulated document.

    Raises
    ------
    NotAcceptable
        When the instance holds none that can be given, or the client does not take it.
    """
    if texts(attributes, tags.MIMETypeOfEncapsulatedDocument)[:1] != [PDF]:
        raise NotAcceptable("The instance has no pictures and no PDF: retrieve it as it is (application/dicom).")
    blocks = document_blocks(retrieval, record, attributes)
    choose(wanted, [Offer(PDF, is_related=False)])
    headers = {"Vary": "Accept", "Content-Disposition": 'attachment; filename="document.pdf"'}
    return Prepared(PDF, blocks, headers=headers)


def document_blocks(retrieval: Retrieval, record: InstanceRecord, attributes: Attributes) -> Blocks:
    """Give the bytes of the document that an instance holds, whatever it is.

    Raises
    ------
    NotAcceptable
        When it holds none.
    """
    element = attributes.get(tags.key(tags.EncapsulatedDocument))
    if element is None:
        raise NotAcceptable("The instance has no pictures and no PDF: retrieve it as it is (application/dicom).")
    return _document(retrieval, record, element, integer(attributes, tags.EncapsulatedDocumentLength, -1))


def _document(retrieval: Retrieval, record: InstanceRecord, element: JsonElement, said: int) -> Blocks:
    with retrieval.open(record) as reader:
        if "InlineBinary" in element:
            data = base64.b64decode(element["InlineBinary"])
            data = data[:said] if 0 < said <= len(data) else data
            retrieval.read((record,), len(data))
            yield Pause(retrieval.take_delay())
            yield data
            return
        location = bulk_location(element.get("BulkDataURI", ""))
        if location is None:
            raise NotAcceptable("The document is empty.")
        offset, length = location
        length = said if 0 < said <= length else length  # without the byte that makes it even
        retrieval.read((record,), length)
        yield Pause(retrieval.take_delay())
        source = plain(reader, record.transfer_syntax_uid, Limits())
        for start in range(offset, offset + length, _PIECE):
            yield source.read_at(start, min(_PIECE, offset + length - start))
