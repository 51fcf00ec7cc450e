"""Faults on demand: each fault happens as described, as often as ordered, and nowhere else."""

from __future__ import annotations

import pickle
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from requests_iris.sandbox import OMIT, Fault, Sandbox

from .support.plain_client import PlainClient
from .support.waiting import HUNG, wait_until

ASSETS = "/api/asset/v1/assets"


@pytest.fixture
def client(sandbox: Sandbox):
    with PlainClient(sandbox) as client:
        yield client


class TestOrders:
    def test_a_fault_is_used_up_after_its_number_of_times(self, sandbox, client):
        sandbox.inject(Fault(status=503), on="token", times=2)
        statuses = [client.ask_by_password().status_code for _ in range(3)]
        assert statuses == [503, 503, 200]

    def test_faults_happen_in_the_order_of_injection(self, sandbox, client):
        sandbox.inject(Fault(status=500), on="token")
        sandbox.inject(Fault(status=502), on="token")
        assert [client.ask_by_password().status_code for _ in range(3)] == [500, 502, 200]

    def test_a_fault_concerns_its_own_server_only(self, sandbox, client):
        sandbox.inject(Fault(status=503), on="api")
        sandbox.inject(Fault(status=502), on="foreign")
        client.sign_in()
        assert client.get("/echo").status_code == 503
        assert client.get(sandbox.foreign_url).status_code == 502

    def test_a_fault_can_wait_for_a_path(self, sandbox, client):
        client.sign_in()
        sandbox.inject(Fault(status=503), on="api", path=ASSETS)
        assert client.get("/echo").ok
        assert client.get(f"{ASSETS}/{sandbox.asset_ids[0]}").status_code == 503
        assert client.get(ASSETS).ok

    def test_a_fault_can_wait_for_the_third_request(self, sandbox, client):
        sandbox.inject(Fault(status=503), on="token", after=2, times=2)
        statuses = [client.ask_by_password().status_code for _ in range(5)]
        assert statuses == [200, 200, 503, 503, 200]

    def test_a_fault_that_waits_lets_the_others_go_first_and_counts_their_requests(
        self, sandbox, client
    ):
        sandbox.inject(Fault(status=504), on="foreign", after=3)
        sandbox.inject(Fault(status=500), on="foreign")
        sandbox.inject(Fault(status=502), on="foreign", after=1)
        statuses = [client.get(sandbox.foreign_url).status_code for _ in range(5)]
        assert statuses == [500, 502, 200, 504, 200]

    def test_a_fault_that_waits_counts_requests_to_its_path_only(self, sandbox, client):
        sandbox.inject(Fault(status=503), on="foreign", after=1, path="/slow")
        paths = ["/slow", "/fast", "/fast", "/slow", "/slow"]
        statuses = [client.get(sandbox.foreign_url + path).status_code for path in paths]
        assert statuses == [200, 200, 200, 503, 200]

    def test_faults_for_32_threads_are_used_up_exactly(self, sandbox):
        sandbox.inject(Fault(status=503), on="foreign", after=7, times=11)
        sandbox.inject(Fault(reply={"path": "changed"}), on="foreign", times=5)

        def visit(_: int) -> tuple[int, str | None]:
            with PlainClient(sandbox) as client:
                response = client.get(sandbox.foreign_url, timeout=HUNG)
            return response.status_code, response.json()["path"] if response.ok else None

        with ThreadPoolExecutor(32) as pool:
            seen = Counter(pool.map(visit, range(60)))
        assert seen == {(503, None): 11, (200, "changed"): 5, (200, "/"): 44}

    def test_faults_can_be_cancelled(self, sandbox, client):
        sandbox.inject(Fault(status=503), on="token", times=100)
        sandbox.clear_faults()
        assert client.ask_by_password().ok

    def test_an_order_that_could_never_be_met_is_refused(self, sandbox):
        with pytest.raises(ValueError, match="token, api, foreign"):
            sandbox.inject(Fault(status=503), on="tokens")
        with pytest.raises(ValueError, match="times must be a whole number, 1 or more, not 0"):
            sandbox.inject(Fault(status=503), on="token", times=0)

    @pytest.mark.parametrize("path", [f"{ASSETS}?size=25", ASSETS.lstrip("/")])
    def test_a_path_that_no_request_has_is_refused(self, sandbox, path):
        with pytest.raises(ValueError, match="begins with a slash and ends before any query"):
            sandbox.inject(Fault(status=503), on="api", path=path)
        with pytest.raises(ValueError, match="begins with a slash and ends before any query"):
            sandbox.limit(path, requests=1, per=1)

    @pytest.mark.parametrize(
        "parts", [{"drop": "never"}, {"body": "x"}, {"drop": "after", "status": 500}]
    )
    def test_a_fault_that_makes_no_sense_is_refused(self, parts):
        with pytest.raises(ValueError, match=r"drop|body"):
            Fault(**parts)


class TestReplacedResponses:
    def test_a_response_can_be_replaced_by_status_body_and_headers(self, sandbox, client):
        fault = Fault(status=503, body="<html>Größe", headers={"Retry-After": "7"})
        sandbox.inject(fault, on="token")
        response = client.ask_by_password()
        assert response.status_code == 503
        assert response.content.decode() == "<html>Größe"
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["Retry-After"] == "7"
        assert sandbox.issued == ()
        assert sandbox.count("token", status=503) == 1

    def test_a_dict_as_body_is_sent_as_json(self, sandbox, client):
        sandbox.inject(Fault(status=400, body={"error": "invalid_grant"}), on="token")
        response = client.ask_by_password()
        assert response.json() == {"error": "invalid_grant"}
        assert response.headers["Content-Type"] == "application/json"

    def test_bytes_as_body_are_sent_unchanged(self, sandbox, client):
        fault = Fault(status=200, body=b"\xff\x00", headers={"Content-Type": "image/x"})
        sandbox.inject(fault, on="foreign")
        response = client.get(sandbox.foreign_url)
        assert response.content == b"\xff\x00"
        assert response.headers["Content-Type"] == "image/x"

    def test_a_fault_comes_before_the_check_of_the_token(self, sandbox, client):
        sandbox.inject(Fault(status=503), on="api")
        assert client.get("/echo").status_code == 503

    @pytest.mark.parametrize("status", [302, 307, 308])
    def test_a_response_can_be_replaced_by_a_redirect(self, sandbox, client, status):
        sandbox.inject(Fault(redirect=sandbox.foreign_url, status=status), on="token")
        response = client.ask_by_password()
        assert [hop.status_code for hop in response.history] == [status]
        assert sandbox.count("foreign") == 1
        assert sandbox.issued == ()

    def test_a_redirect_is_302_by_default(self, sandbox, client):
        sandbox.inject(Fault(redirect=sandbox.foreign_url), on="token")
        assert client.ask_by_password().history[0].status_code == 302

    def test_a_redirect_may_have_a_body(self, sandbox, client):
        fault = Fault(redirect="/elsewhere", body="moved", headers={"X-More": "1"})
        sandbox.inject(fault, on="foreign")
        response = client.get(sandbox.foreign_url, allow_redirects=False)
        assert (response.status_code, response.text) == (302, "moved")
        assert (response.headers["Location"], response.headers["X-More"]) == ("/elsewhere", "1")

    def test_a_204_and_a_304_have_no_body_and_the_connection_goes_on(self, sandbox, client):
        for status in (204, 304):
            sandbox.inject(Fault(status=status), on="foreign")
            assert client.get(sandbox.foreign_url).status_code == status
        assert client.get(sandbox.foreign_url).ok
        assert len({seen.connection_id for seen in sandbox.seen}) == 1


class TestChangedResponses:
    def test_a_token_response_can_have_a_smaller_scope(self, sandbox, client):
        sandbox.inject(Fault(scope="api"), on="token")
        token = client.ask_by_password().json()
        assert token["scope"] == "api"
        assert token["refresh_token"] == sandbox.refresh_token

    @pytest.mark.parametrize("value", ["3600", 12.5, None, -1, "soon", 0])
    def test_a_token_response_can_have_an_odd_expires_in(self, sandbox, client, value):
        sandbox.inject(Fault(expires_in=value), on="token")
        assert client.sign_in()["expires_in"] == value
        assert client.get("/echo").ok

    def test_a_token_response_can_lack_expires_in(self, sandbox, client):
        sandbox.inject(Fault(expires_in=OMIT), on="token")
        token = client.ask_by_password().json()
        assert "expires_in" not in token
        assert "access_token" in token

    def test_any_member_of_a_response_can_be_changed_added_or_left_out(self, sandbox, client):
        changes = {"token_type": "mac", "access_token": OMIT, "more": [1]}
        sandbox.inject(Fault(reply=changes), on="token")
        token = client.ask_by_password().json()
        assert (token["token_type"], token["more"]) == ("mac", [1])
        assert "access_token" not in token
        assert len(sandbox.issued) == 1

    def test_lists_can_be_changed_too(self, sandbox, client):
        client.sign_in()
        sandbox.inject(Fault(reply={"content": []}), on="api")
        page = client.get(ASSETS).json()
        assert (page["content"], page["totalElements"]) == ([], 250)

    def test_a_refusal_is_not_changed_and_does_not_use_up_the_change(self, sandbox, client):
        sandbox.inject(Fault(scope="api"), on="token")
        assert set(client.ask_by_password(password="wrong").json()) == {
            *("error", "error_description")
        }
        assert client.ask_by_password().json()["scope"] == "api"
        assert client.ask_by_password().json()["scope"] == "api offline_access"

    def test_a_401_is_sent_at_once_and_does_not_use_up_the_change(self, sandbox, client):
        """A client that signs in again gets the changed list."""
        client.sign_in()
        fault = Fault(reply={"content": []}, headers={"X-Changed": "1"}, delay=0.3)
        sandbox.inject(fault, on="api", times=2)
        sandbox.expire_access_tokens()
        response = client.get(ASSETS)
        assert (response.status_code, response.headers.get("X-Changed")) == (401, None)
        client.sign_in()
        pages = [client.get(ASSETS).json()["content"] for _ in range(3)]
        assert [len(page) for page in pages] == [0, 0, 20]

    def test_a_change_that_came_back_after_clear_faults_stays_cancelled(self, sandbox, client):
        client.sign_in()
        sandbox.inject(Fault(reply={"content": []}), on="api")
        assert client.get("/nothing").status_code == 404
        sandbox.clear_faults()
        assert len(client.get(ASSETS).json()["content"]) == 20

    def test_headers_are_added_to_the_true_response(self, sandbox, client):
        sandbox.inject(Fault(headers={"X-More": "1"}), on="token")
        response = client.ask_by_password()
        assert response.headers["X-More"] == "1"
        assert "access_token" in response.json()

    def test_a_response_that_is_no_json_stays_unchanged(self, sandbox, client):
        client.sign_in()
        sandbox.inject(Fault(reply={"x": 1}), on="api")
        assert client.get("/public/api/aemp/v2/15143/-3/Fleet/1").content.startswith(b"<?xml")


class TestResponsesThatTravelBadly:
    def test_a_response_can_be_delayed(self, sandbox, client):
        sandbox.inject(Fault(delay=0.3), on="token")
        started = time.monotonic()
        assert client.ask_by_password().ok
        assert time.monotonic() - started >= 0.3

    def test_a_delay_keeps_no_other_client_waiting(self, sandbox, client):
        sandbox.inject(Fault(delay=60), on="token")
        with ThreadPoolExecutor() as pool, PlainClient(sandbox) as another:
            slow = pool.submit(client.ask_by_password)
            wait_until(lambda: len(sandbox.issued) == 1)  # the work is done before the delay
            another.sign_in()
            assert another.get("/echo").ok
            assert not slow.done()
            sandbox.close()
            assert slow.exception()

    def test_a_drop_before_the_work_changes_nothing(self, sandbox, client):
        token = client.ask_by_password().json()
        sandbox.inject(Fault(drop="before"), on="token")
        with pytest.raises(requests.ConnectionError):
            client.ask_by_refresh_token(token["refresh_token"])
        assert sandbox.seen[-1].status is None
        assert client.ask_by_refresh_token(token["refresh_token"]).ok

    def test_a_drop_after_the_work_loses_the_rotated_token(self, sandbox, client):
        token = client.ask_by_password().json()
        sandbox.inject(Fault(drop="after"), on="token")
        with pytest.raises(requests.ConnectionError):
            client.ask_by_refresh_token(token["refresh_token"])
        assert sandbox.seen[-1].status is None
        assert len(sandbox.issued) == 2
        assert sandbox.refresh_token != token["refresh_token"]
        assert client.ask_by_refresh_token(token["refresh_token"]).status_code == 400

    def test_a_trickle_takes_its_time_and_is_whole(self, sandbox, client):
        sandbox.inject(Fault(status=200, body="0123456789", trickle=0.02), on="foreign")
        started = time.monotonic()
        assert client.get(sandbox.foreign_url).text == "0123456789"
        assert time.monotonic() - started >= 0.18
        assert client.get(sandbox.foreign_url).ok

    def test_a_truncated_response_announces_its_full_length(self, sandbox, client):
        sandbox.inject(Fault(truncate=5), on="foreign")
        response = client.get(sandbox.foreign_url, stream=True)
        assert int(response.headers["Content-Length"]) > 5
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="5 bytes read"):
            _ = response.content
        assert client.get(sandbox.foreign_url).ok

    def test_a_response_can_be_truncated_from_its_end(self, sandbox, client):
        sandbox.inject(Fault(status=200, body="0123456789", truncate=-2), on="foreign")
        with (
            client.get(sandbox.foreign_url, stream=True) as response,
            pytest.raises(requests.exceptions.ChunkedEncodingError, match="8 bytes read"),
        ):
            _ = response.content


def test_a_fault_can_be_ordered_from_another_process() -> None:
    fault = Fault(delay=1.5, reply={"scope": OMIT})
    assert pickle.loads(pickle.dumps(fault)) == fault
    assert pickle.loads(pickle.dumps(fault)).expires_in is fault.expires_in
