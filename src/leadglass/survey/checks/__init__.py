"""Checks, a file each: what is asked of an endpoint, and what an answer proves."""
