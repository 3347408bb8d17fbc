"""The viewer: OHIF's prepared site below ``/viewer/``, the pages that lead into it, and what its policy reports."""
