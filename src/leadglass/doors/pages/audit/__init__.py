"""The audit log in a browser."""
