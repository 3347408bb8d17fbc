"""Doors: each finds out who asks, parses what is asked, makes one call on Archive and translates the answer."""
