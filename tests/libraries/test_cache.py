"""requests-cache: what was asked before is not asked again, and no secret is on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from requests_cache import CachedSession, CacheMixin

from requests_iris import IrisSession

ASSETS = "/api/asset/v1/assets"


class Cached(CacheMixin, IrisSession):
    """requests-cache's documented way to add a cache to another session."""


@pytest.fixture(params=["sqlite", "filesystem"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def store(tmp_path, backend):
    return {"cache_name": str(tmp_path / "cache"), "backend": backend}


@pytest.fixture
def cached(store, sandbox) -> Iterator[Cached]:
    with Cached(**store, **sandbox.settings) as session:
        session.verify = sandbox.ca_file
        yield session
        session.cache.close()


def test_the_second_response_comes_from_the_cache(cached, sandbox) -> None:
    first, second = (cached.get(ASSETS) for _ in range(2))
    assert (first.from_cache, second.from_cache) == (False, True)
    assert first.json() == second.json()
    assert sandbox.count("api") == sandbox.count("password") == 1


def test_a_cached_response_needs_no_token(cached, store, sandbox) -> None:
    """This includes a new process without a token."""
    cached.get(ASSETS)
    with Cached(**store, **sandbox.settings) as later:
        assert later.get(ASSETS).from_cache
        assert not later.token
        later.cache.close()
    assert sandbox.count("token") == 1


def test_a_request_with_a_renewed_token_finds_the_same_cached_responses(cached, sandbox) -> None:
    cached.get(ASSETS)
    cached.refresh_token()
    assert cached.get(ASSETS).from_cache


def test_requests_with_other_parameters_are_cached_separately(cached) -> None:
    pages = [cached.get(ASSETS, params={"page": n}) for n in range(2)]
    assert not any(page.from_cache for page in pages)
    assert pages[0].json() != pages[1].json()


def test_a_401_is_resent_and_only_the_good_response_is_cached(cached, sandbox) -> None:
    cached.fetch_token()
    sandbox.expire_access_tokens()
    assert cached.get(ASSETS).status_code == 200
    assert cached.get(ASSETS).from_cache
    assert sandbox.count("api", 401) == 1


@pytest.mark.parametrize("expired", [False, True])
@pytest.mark.parametrize("redirected", [False, True])
def test_no_secret_reaches_the_cache_on_disk(
    cached, sandbox, tmp_path, expired, redirected
) -> None:
    """This covers responses, their requests, and the history of redirects and 401s."""
    url = f"/redirect?to={sandbox.base_url}{ASSETS}" if redirected else ASSETS
    if expired:
        cached.fetch_token()
        sandbox.expire_access_tokens()
    assert len(cached.get(url).history) == expired + redirected
    assert cached.get(url).from_cache
    cached.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"serialNumber" in kept
    secrets = [*sandbox.issued, sandbox.refresh_token, cached.client_id]
    secrets += [sandbox.settings[name] for name in ("client_secret", "username", "password")]
    assert [secret for secret in secrets if secret.encode() in kept] == []


def test_a_cached_session_can_use_the_bearer_as_its_auth(store, sandbox, iris) -> None:
    with CachedSession(**store) as session:
        session.verify, session.auth = sandbox.ca_file, iris.bearer
        replies = [session.get(sandbox.base_url + ASSETS) for _ in range(2)]
        assert [reply.from_cache for reply in replies] == [False, True]
        session.cache.close()
    assert sandbox.count("api", 200) == 1


def test_an_auth_is_called_before_the_cache_is_read(store, sandbox, iris) -> None:
    """Therefore a cached response causes a token request too."""
    with CachedSession(**store) as session:
        session.verify, session.auth = sandbox.ca_file, iris.bearer
        session.get(sandbox.base_url + ASSETS)
        iris.token = {}
        assert session.get(sandbox.base_url + ASSETS).from_cache
        session.cache.close()
    assert sandbox.count("token") == 2


#: A program that installs a cache for everything, and imports our library afterwards.
PROGRAM = """
import sys, requests_cache
requests_cache.install_cache(sys.argv[1], backend="filesystem", allowable_methods=("GET", "POST"))
from requests_iris import IrisSession, Quota, RateLimit

quota = Quota("memory", limits=[RateLimit("all", 9, 1000, "/")])
with IrisSession(token_url=sys.argv[2], quota=quota) as iris:
    iris.verify = sys.argv[3]
    replies = [iris.get("/api/asset/v1/assets") for _ in range(2)]
    print([(reply.status_code, reply.from_cache) for reply in replies])
    iris.refresh_token()
    print(iris.get("/api/asset/v1/assets").from_cache)
    print(iris.quota.state("/api/asset/v1/assets").remaining)
"""


def test_a_cache_installed_before_the_import_of_requests_iris_works_and_keeps_no_secret(
    sandbox, tmp_path
) -> None:
    """Token requests go around the cache, though the cache keeps responses to POST. A response
    from the cache takes no slot of a quota.
    """
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "kept"), sandbox.token_url]
    environ = {**os.environ, **sandbox.environ}
    ran = subprocess.run(
        [*command, sandbox.ca_file], env=environ, capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == ["[(200, False), (200, True)]", "True", "8"]
    assert sandbox.count("api") == 1
    assert sandbox.count("token") == 2
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"serialNumber" in kept
    secrets = [*sandbox.issued, sandbox.refresh_token]
    secrets += [sandbox.settings[name] for name in ("client_secret", "username", "password")]
    assert [secret for secret in secrets if secret.encode() in kept] == []
