"""Sending files in by a browser."""
