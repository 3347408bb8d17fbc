"""Report: what a run came to, for management, for engineers and for programs."""
