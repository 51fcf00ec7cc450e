"""Whatever the token endpoint answers: a token or an error of ours, and no secret in it."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from requests_iris import IrisError, IrisSession
from requests_iris.sandbox import Fault, Sandbox

from .test_secrets import SkippingClock, leaks, told_of

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=5), SCALARS)
NAMES = ["access_token", "refresh_token", "expires_in", "scope", "token_type", "error"]
OBJECTS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, VALUES)).map(json.dumps)
HEADER_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Content-Type", "Content-Encoding", "Set-Cookie", "Location"]),
    HEADER_VALUES | st.sampled_from(["gzip", "-1", "0", "1e999", "text/html; charset=x"]),
)


@pytest.fixture(scope="module")
def shared():
    with Sandbox() as sandbox:
        yield sandbox


@settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=150,
    suppress_health_check=list(HealthCheck),
)
@given(
    status=st.sampled_from([200, 201, 302, 400, 401, 404, 429, 500, 503]),
    body=OBJECTS | st.binary(max_size=60),
    headers=HEADERS,
)
def test_no_exception_but_ours(shared: Sandbox, status, body, headers) -> None:
    secrets = [shared.settings["password"], shared.settings["client_secret"]]
    with IrisSession(**shared.settings) as iris:
        iris.verify = shared.ca_file
        iris._source._clock = iris._source._endpoint._clock = SkippingClock()
        shared.inject(Fault(status=status, body=body, headers=headers), on="token", times=9)
        told = ""
        try:
            iris.fetch_token()
        except IrisError as error:
            told = told_of(error)
        finally:
            shared.clear_faults()
        assert leaks(told, secrets) == []
