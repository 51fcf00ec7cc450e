"""Helpers for several test files, one noun per module."""
