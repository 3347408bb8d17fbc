"""Durable background work: what was promised to a peer and is still to be done, whatever happens to the process."""
