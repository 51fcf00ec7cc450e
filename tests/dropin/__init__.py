"""requests' own test suite, with IrisSession in the place of requests.Session.

    python -m tests.dropin

`suite.py` fetches that suite and runs it, `stand_in.py` is loaded into each run and replaces the
class, `watch.py` counts the tokens that leave it, and `__main__.py` compares the runs.
"""
