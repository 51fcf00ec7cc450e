"""A soak: many threads and processes share one token, while everything goes wrong.

``python -m tests.soak --seconds 180`` prints one table. pytest does not collect this package.
"""
