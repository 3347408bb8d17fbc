"""The DICOM upper layer (PS3.8) and its messages (PS3.7).

Rule: the core (``pdu``, ``fsm``, ``machine``, ``assembly``, ``command_set``)
does no I/O: bytes in, events and bytes out. ``link``, ``association``,
``server`` and ``client`` carry it over asyncio, and everything a stranger can
do has a limit and a deadline in ``limits``.
"""
