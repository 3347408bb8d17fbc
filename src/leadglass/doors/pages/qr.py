"""QR codes, as the path of an SVG: drawn by the page, fetched from nobody."""

from typing import Final

import segno

_QUIET: Final = 4
"""Modules of quiet zone around (ISO/IEC 18004)."""


def qr_path(text: str) -> tuple[int, str]:
    """Give a QR code as its width and the path of an SVG: one square for each dark module, a quiet zone around."""
    rows = list(segno.make(text, error="m", micro=False).matrix)
    path = "".join(
        f"M{x + _QUIET} {y + _QUIET}h1v1h-1z"
        for y, row in enumerate(rows)
        for x, module in enumerate(row)
        if module & 1
    )
    return len(rows) + 2 * _QUIET, path
