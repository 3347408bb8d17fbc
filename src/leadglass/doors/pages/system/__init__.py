"""The page for whoever runs the archive: how it stands, and what to do."""
