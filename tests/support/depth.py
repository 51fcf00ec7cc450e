"""How many examples Hypothesis tries: few in every run, many on demand.

The environment variable HYPOTHESIS_PROFILE chooses the profile; `tox -e deep` sets "deep".
A test that needs a different number has ``@settings(max_examples=examples(15))``.
"""

from __future__ import annotations

import os

from hypothesis import settings

#: "default", or "deep".
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")
#: How many times more examples the profile "deep" tries.
DEEP = 20


def register_profiles() -> None:
    """Register both profiles, and load the chosen one."""
    shallow = settings(derandomize=True, deadline=None, database=None, max_examples=100)
    settings.register_profile("default", shallow)
    # random examples: each deep run may find something new, and prints how to repeat a failure
    deep = settings(shallow, derandomize=False, max_examples=100 * DEEP, print_blob=True)
    settings.register_profile("deep", deep)
    settings.load_profile(PROFILE)


def examples(shallow: int) -> int:
    """The number of examples: `shallow`, or `DEEP` times as many in the profile "deep"."""
    return shallow * DEEP if PROFILE == "deep" else shallow
