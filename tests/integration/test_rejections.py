"""A path that rejects every token causes one renewal a minute, and disturbs no further path."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from requests_iris import IrisSession
from requests_iris.sandbox import Fault, Sandbox

SITES, ASSETS = "/api/site/v1/sites", "/api/asset/v1/assets"
#: More requests than any test sends.
ALWAYS = 10**6


class TestRejectedNewTokens:
    """An API that rejects every token costs one renewal a minute."""

    @pytest.fixture(params=["session", "bearer"])
    def get(self, request, iris: IrisSession) -> Callable[[str], requests.Response]:
        """Sends by the session, or by a plain session with ``iris.bearer``."""
        if request.param == "session":
            return iris.get
        plain = requests.Session()
        plain.verify, plain.auth, plain.trust_env = iris.verify, iris.bearer, False
        return lambda path: plain.get(iris.base_url + path)

    @pytest.fixture
    def rejects(self, sandbox: Sandbox) -> Callable[[str], None]:
        return lambda path: sandbox.inject(Fault(status=401), on="api", path=path, times=ALWAYS)

    def test_a_path_that_rejects_new_tokens_causes_one_renewal_a_minute(
        self, get, iris, sandbox, clock, rejects
    ) -> None:
        rejects("/api/site")
        for _ in range(50):
            assert get(SITES).status_code == 401
        assert sandbox.count("token") == 2
        clock.sleep(40)
        assert get(SITES).status_code == 401
        assert sandbox.count("token") == 2
        clock.sleep(25)
        assert get(SITES).status_code == 401
        assert sandbox.count("token") == 3

    def test_other_paths_keep_the_token_and_their_renewals(
        self, get, iris, sandbox, rejects
    ) -> None:
        rejects("/api/site")
        get(SITES)
        token = iris.access_token
        assert get(SITES).status_code == 401
        assert iris.access_token == token
        assert get(ASSETS).ok
        sandbox.revoke_access_tokens()
        assert get(ASSETS).ok
        assert sandbox.count("token") == 3

    def test_paths_with_different_ids_count_as_one_kind_and_different_versions_do_not(
        self, get, sandbox, rejects
    ) -> None:
        rejects("/api/site")
        for number in range(20):
            get(f"{SITES}/{number}/items/a{number}b?n={number}")
        assert sandbox.count("token") == 2
        get("/api/site/v2/sites")
        assert sandbox.count("token") == 3
        get("/api/site/v2/other")
        assert sandbox.count("token") == 4

    def test_a_success_allows_renewals_for_the_path_again(self, get, sandbox, rejects) -> None:
        rejects(ASSETS)
        get(ASSETS)
        sandbox.clear_faults()
        assert get(ASSETS).ok
        sandbox.revoke_access_tokens()
        assert get(ASSETS).ok

    def test_rejecting_paths_cause_at_most_ten_renewals_a_minute_together(
        self, get, sandbox, clock, rejects
    ) -> None:
        rejects("/api/")
        get("/echo")
        sandbox.forget()
        for letter in "abcdefghijklmnopqrst":
            assert get(f"/api/{letter}").status_code == 401
        assert sandbox.count("token") == 10
        clock.sleep(61)
        assert get("/api/z").status_code == 401
        assert sandbox.count("token") == 11

    def test_many_revocations_in_a_minute_are_all_cured(self, get, sandbox) -> None:
        for _ in range(30):
            sandbox.revoke_access_tokens()
            assert get(ASSETS).ok

    def test_threads_beside_a_rejecting_path_are_not_disturbed(
        self, get, iris, sandbox, rejects
    ) -> None:
        rejects("/api/site")
        assert get(ASSETS).ok
        with ThreadPoolExecutor(8) as pool:
            statuses = pool.map(lambda path: get(path).status_code, [SITES, ASSETS] * 40)
            assert list(statuses) == [401, 200] * 40
        # the sign-in, and at most one renewal per thread before the path is known to reject
        assert sandbox.count("token") <= 1 + 8

    def test_the_warning_names_grant_and_path_once(self, get, caplog, rejects) -> None:
        rejects("/api/site")
        for _ in range(3):
            get(SITES)
        (warning,) = [r.getMessage() for r in caplog.records if "rejects even" in r.getMessage()]
        assert "/api/site/v1/sites" in warning
        assert "password grant" in warning


def test_a_rejected_token_from_a_store_is_not_taken_for_a_new_token(sandbox, tmp_path) -> None:
    """Two sessions share a store. The stored token was revoked, too."""
    shared = {**sandbox.settings, "token_store": tmp_path / "token.json"}
    with IrisSession(**shared) as one, IrisSession(**shared) as two:
        one.verify = two.verify = sandbox.ca_file
        assert two.get("/echo").ok
        one.fetch_token()
        sandbox.revoke_access_tokens()
        assert two.get("/echo").ok
        assert two.get("/echo").ok
