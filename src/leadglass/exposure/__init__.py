"""Exposure: what of this archive could be reached, read or lost, and what to do about it."""
