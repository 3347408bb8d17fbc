"""Leadglass: a medical image archive (PACS) that does not leak."""

__version__ = "0.1.0"
