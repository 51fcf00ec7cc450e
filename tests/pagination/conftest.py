"""Every test that takes a `form` runs once for each form of list."""

from __future__ import annotations

import pytest

from .lists import FORMS


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]
