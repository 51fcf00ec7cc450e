"""Helpers that several test files use, one noun per module."""
