"""Faults on demand: each does what it says, as often as it was ordered, and nothing else."""

from __future__ import annotations

import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from requests_iris.sandbox import OMIT, Fault, Sandbox

from .conftest import wait_until
from .plain_client import PlainClient

ASSETS = "/api/asset/v1/assets"


@pytest.fixture
def client(sandbox: Sandbox):
    with PlainClient(sandbox) as client:
        yield client


class TestOrders:
    def test_one_is_used_up_after_so_many_times(self, sandbox, client):
        sandbox.inject(Fault(status=503), on="token", times=2)
        statuses = [client.ask_by_password().status_code for _ in range(3)]
        assert statuses == [503, 503, 200]

    def test_they_are_taken_one_after_the_other(self, sandbox, client):
        sandbox.inject(Fault(status=500), on="token")
        sandbox.inject(Fault(status=502), on="token")
        assert [client.ask_by_password().status_code for _ in range(3)] == [500, 502, 200]

    def test_one_server_has_nothing_to_do_with_the_other(self, sandbox, client):
        sandbox.inject(Fault(status=503), on="api")
        sandbox.inject(Fault(status=502), on="foreign")
        client.sign_in()
        assert client.get("/echo").status_code == 503
        assert client.get(sandbox.foreign_url).status_code == 502

    def test_one_can_wait_for_a_path(self, sandbox, client):
        client.sign_in()
        sandbox.inject(Fault(status=503), on="api", path=ASSETS)
        assert client.get("/echo").ok
        assert client.get(f"{ASSETS}/{sandbox.asset_ids[0]}").status_code == 503
        assert client.get(ASSETS).ok

    def test_they_can_be_taken_back(self, sandbox, client):
        sandbox.inject(Fault(status=503), on="token", times=100)
        sandbox.clear_faults()
        assert client.ask_by_password().ok

    def test_an_order_that_could_never_be_met_is_refused(self, sandbox):
        with pytest.raises(ValueError, match="token, api, foreign"):
            sandbox.inject(Fault(status=503), on="tokens")
        with pytest.raises(ValueError, match="once"):
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


class TestAnswersInsteadOfTheTrueOne:
    def test_status_body_and_headers(self, sandbox, client):
        fault = Fault(status=503, body="<html>Größe", headers={"Retry-After": "7"})
        sandbox.inject(fault, on="token")
        response = client.ask_by_password()
        assert response.status_code == 503
        assert response.content.decode() == "<html>Größe"
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["Retry-After"] == "7"
        assert sandbox.issued == ()
        assert sandbox.count("token", status=503) == 1

    def test_a_mapping_is_json(self, sandbox, client):
        sandbox.inject(Fault(status=400, body={"error": "invalid_grant"}), on="token")
        response = client.ask_by_password()
        assert response.json() == {"error": "invalid_grant"}
        assert response.headers["Content-Type"] == "application/json"

    def test_bytes_are_sent_as_they_are(self, sandbox, client):
        fault = Fault(status=200, body=b"\xff\x00", headers={"Content-Type": "image/x"})
        sandbox.inject(fault, on="foreign")
        response = client.get(sandbox.foreign_url)
        assert response.content == b"\xff\x00"
        assert response.headers["Content-Type"] == "image/x"

    def test_it_comes_before_the_bearer_is_looked_at(self, sandbox, client):
        sandbox.inject(Fault(status=503), on="api")
        assert client.get("/echo").status_code == 503

    @pytest.mark.parametrize("status", [302, 307, 308])
    def test_a_redirect(self, sandbox, client, status):
        sandbox.inject(Fault(redirect=sandbox.foreign_url, status=status), on="token")
        response = client.ask_by_password()
        assert [hop.status_code for hop in response.history] == [status]
        assert sandbox.count("foreign") == 1
        assert sandbox.issued == ()

    def test_a_redirect_is_302_unless_told_otherwise(self, sandbox, client):
        sandbox.inject(Fault(redirect=sandbox.foreign_url), on="token")
        assert client.ask_by_password().history[0].status_code == 302

    def test_a_204_and_a_304_have_no_body_and_the_connection_goes_on(self, sandbox, client):
        for status in (204, 304):
            sandbox.inject(Fault(status=status), on="foreign")
            assert client.get(sandbox.foreign_url).status_code == status
        assert client.get(sandbox.foreign_url).ok
        assert len({seen.connection_id for seen in sandbox.seen}) == 1


class TestChangedAnswers:
    def test_a_smaller_scope(self, sandbox, client):
        sandbox.inject(Fault(scope="api"), on="token")
        token = client.ask_by_password().json()
        assert token["scope"] == "api"
        assert token["refresh_token"] == sandbox.refresh_token

    @pytest.mark.parametrize("value", ["3600", 12.5, None, -1, "soon", 0])
    def test_an_odd_expires_in(self, sandbox, client, value):
        sandbox.inject(Fault(expires_in=value), on="token")
        assert client.sign_in()["expires_in"] == value
        assert client.get("/echo").ok

    def test_a_missing_expires_in(self, sandbox, client):
        sandbox.inject(Fault(expires_in=OMIT), on="token")
        token = client.ask_by_password().json()
        assert "expires_in" not in token
        assert "access_token" in token

    def test_any_member_can_be_changed_added_or_left_out(self, sandbox, client):
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

    def test_a_refusal_is_not_changed(self, sandbox, client):
        sandbox.inject(Fault(scope="api"), on="token")
        assert set(client.ask_by_password(password="wrong").json()) == {
            *("error", "error_description")
        }

    def test_a_response_that_cannot_be_changed_does_not_use_up_the_fault(self, sandbox, client):
        """A token that expired a moment ago would take the fault from the next request."""
        client.sign_in()
        sandbox.inject(Fault(reply={"content": []}, delay=0.1), on="api", times=2)
        sandbox.expire_access_tokens()
        assert client.get(ASSETS).status_code == 401
        client.sign_in()
        for size in (0, 0, 20):
            assert len(client.get(ASSETS).json()["content"]) == size

    def test_headers_go_on_the_true_answer(self, sandbox, client):
        sandbox.inject(Fault(headers={"X-More": "1"}), on="token")
        response = client.ask_by_password()
        assert response.headers["X-More"] == "1"
        assert "access_token" in response.json()

    def test_what_is_no_json_stays_as_it_is(self, sandbox, client):
        client.sign_in()
        sandbox.inject(Fault(reply={"x": 1}), on="api")
        assert client.get("/public/api/aemp/v2/15143/-3/Fleet/1").content.startswith(b"<?xml")


class TestAnswersThatComeBadly:
    def test_a_delay(self, sandbox, client):
        sandbox.inject(Fault(delay=0.3), on="token")
        started = time.monotonic()
        assert client.ask_by_password().ok
        assert time.monotonic() - started >= 0.3

    def test_a_delay_keeps_nobody_else_waiting(self, sandbox, client):
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

    def test_a_truncated_answer_promises_more_than_it_brings(self, sandbox, client):
        sandbox.inject(Fault(truncate=5), on="foreign")
        response = client.get(sandbox.foreign_url, stream=True)
        assert int(response.headers["Content-Length"]) > 5
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="5 bytes read"):
            _ = response.content
        assert client.get(sandbox.foreign_url).ok


def test_a_fault_can_be_ordered_from_another_process() -> None:
    fault = Fault(delay=1.5, reply={"scope": OMIT})
    assert pickle.loads(pickle.dumps(fault)) == fault
    assert pickle.loads(pickle.dumps(fault)).expires_in is fault.expires_in
