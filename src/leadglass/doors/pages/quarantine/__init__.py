"""What is kept aside, at a browser."""
