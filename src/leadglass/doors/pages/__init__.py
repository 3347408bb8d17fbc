"""Pages for people at a browser: rendered here, working without scripts, behind the web door."""
