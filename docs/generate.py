"""Writes the pages of ``docs/`` that are made from code: configuration, command line, conformance tables.

Rule: what the code knows is written down once, in the code. ``tests/test_docs.py``
fails when a page is not what this script would write. ``--check`` only compares.
"""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import cast, get_type_hints

import click

from leadglass import config
from leadglass.__main__ import command
from leadglass.dicom import sop_classes, uids
from leadglass.doors.dimse.negotiation import UNDERSTOOD
from leadglass.doors.dimse.status import TABLES, Service, Status
from leadglass.errors import Kind

DOCS = Path(__file__).resolve().parent
GENERATED = "<!-- Written by docs/generate.py; `make docs` writes it anew. -->"
