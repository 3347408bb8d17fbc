"""Gathering: the facts of the self-check, from the parts and the machine; part of the composition root."""
