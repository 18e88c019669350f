"""Paths -> bytes and tables, and back; a damaged file of the user's is a UsageError that names it."""
