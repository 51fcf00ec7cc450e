"""What a session costs, measured side by side with what one would use instead.

    python -m benchmarks [--json]

One noun a file; each has a `measure()`, which `__main__.py` calls.
"""
