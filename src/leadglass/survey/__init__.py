"""The exposure survey: what of an operator's own network is open. It knows nothing of the archive."""
