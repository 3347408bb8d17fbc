"""Measurements against named peers and limits, one script per claim."""
