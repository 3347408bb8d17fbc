"""Managing: people, programs, and one's own tokens."""
