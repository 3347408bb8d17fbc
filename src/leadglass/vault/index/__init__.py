"""The index: what is stored, where, under which key, and how it can be found."""
