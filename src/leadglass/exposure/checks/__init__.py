"""Checks: small functions from facts to findings, and the one table of them."""
