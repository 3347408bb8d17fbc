"""People at a browser: signing in, their own account, break-glass."""
