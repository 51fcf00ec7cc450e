"""What the token may touch.

A request carries the token only if all three hold: the request goes to an allowed host over HTTPS;
the caller set no authentication; no other host redirected to the request.
"""

from __future__ import annotations

import copy
import itertools
import pickle
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from requests import PreparedRequest

from requests_iris import IrisSession
from requests_iris.sandbox import Fault, Sandbox

from .support.redirects import redirect, tokens_seen
from .support.servers import serving

#: A user of a server that accepts every user.
USER = {"client_id": "me", "client_secret": "mine", "username": "me", "password": "mine"}


def through_pickle(request: PreparedRequest) -> PreparedRequest:
    return pickle.loads(pickle.dumps(request))


def host_of(url: str) -> str:
    return url.removeprefix("https://")


def lacks_token(sandbox: Sandbox) -> str:
    """The log record after a 401 from the foreign server, which differs by its port only."""
    allowed, asked = (
        host_of(url).rpartition(":")[2] for url in (sandbox.base_url, sandbox.foreign_url)
    )
    reason = f"allowed_hosts has 127.0.0.1 with port {allowed}, and not with port {asked}"
    return f"{host_of(sandbox.foreign_url)} answered 401 and saw no token: {reason}"


def hidden_by(sandbox: Sandbox, whose: str) -> str:
    return f"{host_of(sandbox.base_url)} answered 401: {whose} hid the session's token"


class TestFirstHop:
    def test_an_allowed_host_sees_the_token(self, iris: IrisSession, sandbox: Sandbox) -> None:
        assert iris.get("/echo").ok
        assert tokens_seen(sandbox, "api") == [f"Bearer {sandbox.issued[-1]}"]

    def test_another_host_sees_no_token_and_no_token_is_fetched(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        assert iris.get(f"{sandbox.foreign_url}/echo").ok
        assert tokens_seen(sandbox, "foreign") == []
        assert sandbox.count("token") == 0

    def test_a_401_of_another_host_logs_that_the_host_saw_no_token(
        self, iris: IrisSession, sandbox: Sandbox, caplog
    ) -> None:
        """Who has left a host out of the settings could look for the fault in his password."""
        url = f"{sandbox.foreign_url}/echo"
        for arguments in ({}, {"auth": ("me", "mine")}):
            sandbox.inject(Fault(status=401), on="foreign")
            assert iris.get(url, **arguments).status_code == 401
        assert iris.get(url).ok
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert record.getMessage() == lacks_token(sandbox)

    def test_a_401_to_the_callers_own_header_logs_that_the_header_hid_the_token(
        self, iris: IrisSession, sandbox: Sandbox, caplog
    ) -> None:
        """Code with a signature of its own keeps working after the move to IrisSession."""
        iris.headers["Authorization"] = "Bearer left-over"
        assert iris.get("/api/asset/v1/assets").status_code == 401
        assert iris.get("/api/asset/v1/assets", withhold_token=True).status_code == 401
        del iris.headers["Authorization"]
        assert iris.get("/api/asset/v1/assets", withhold_token=True).status_code == 401
        told = hidden_by(sandbox, "an Authorization header of your own")
        assert [record.getMessage() for record in caplog.records] == [told, told]
        assert caplog.records[0].levelname == "WARNING"

    def test_a_401_after_a_redirect_is_logged_once(
        self, iris: IrisSession, sandbox: Sandbox, caplog
    ) -> None:
        iris.headers["Authorization"] = "Bearer left-over"
        assert iris.get(redirect(sandbox, "/api/asset/v1/assets")).status_code == 401
        del iris.headers["Authorization"]
        sandbox.inject(Fault(status=401), on="foreign", path="/echo")
        assert iris.get(redirect(sandbox, "/echo", via="foreign")).status_code == 401
        to_us = f"{sandbox.base_url}/api/asset/v1/assets"
        assert iris.get(redirect(sandbox, to_us, via="foreign")).status_code == 401
        assert [record.getMessage() for record in caplog.records] == [
            hidden_by(sandbox, "an Authorization header of your own"),
            lacks_token(sandbox),
        ]

    def test_a_rejected_token_is_not_logged_as_the_callers_header(
        self, iris: IrisSession, sandbox: Sandbox, caplog
    ) -> None:
        """A body that cannot be sent twice leaves no 401 in the history."""
        for auth in (None, iris.bearer):
            sandbox.inject(Fault(status=401), on="api", times=2)
            assert iris.get("/echo", auth=auth).status_code == 401
            sandbox.inject(Fault(status=401), on="api")
            assert iris.post("/echo", data=iter([b"once"]), auth=auth).status_code == 401
        assert not [each for each in caplog.records if "hid" in each.getMessage()]

    def test_the_token_host_is_not_an_api_host(self, iris: IrisSession, sandbox: Sandbox) -> None:
        iris.get("/echo")
        sandbox.forget()
        iris.get(sandbox.token_url)
        assert tokens_seen(sandbox, "token") == []

    def test_allowed_hosts_replace_the_default(self, sandbox: Sandbox) -> None:
        host = sandbox.foreign_url.removeprefix("https://")
        with IrisSession(**sandbox.settings, allowed_hosts=[host]) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get(f"{sandbox.foreign_url}/echo").ok
            assert iris.get("/echo").status_code == 401
        assert len(tokens_seen(sandbox, "foreign")) == 1
        assert tokens_seen(sandbox, "api") == []

    def test_a_session_without_an_allowed_host_fetches_no_token(self, sandbox: Sandbox) -> None:
        with IrisSession(**sandbox.settings, allowed_hosts=[]) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get("/echo").status_code == 401
        assert sandbox.count("token") == 0

    def test_the_same_port_over_plain_http_sees_no_token(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        with pytest.raises(requests.ConnectionError):
            iris.get(sandbox.base_url.replace("https", "http") + "/echo")
        assert sandbox.count("token") == 0


class TestAuthenticationOfTheCallers:
    @pytest.mark.parametrize(
        "arguments",
        [
            {"auth": ("me", "mine")},
            {"headers": {"Authorization": "Basic bWU6bWluZQ=="}},
            {"headers": {"authorization": "Basic bWU6bWluZQ=="}},
        ],
        ids=["auth", "header", "lower-case header"],
    )
    def test_the_callers_authentication_is_left_alone(
        self, iris: IrisSession, sandbox: Sandbox, arguments
    ) -> None:
        assert iris.get("/echo", **arguments).status_code == 401
        assert tokens_seen(sandbox, "api") == ["Basic bWU6bWluZQ=="]
        assert sandbox.count("token") == 0

    def test_the_callers_header_counts_in_a_plain_dict(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        request = iris.prepare_request(requests.Request("GET", "/echo"))
        request.headers = {"authorization": "Basic bWU6bWluZQ=="}
        assert iris.send(request).status_code == 401
        assert tokens_seen(sandbox, "api") == ["Basic bWU6bWluZQ=="]

    def test_an_auth_without_a_header_counts_as_the_callers_authentication(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        assert iris.get("/echo", auth=lambda request: request).status_code == 401
        assert tokens_seen(sandbox, "api") == []

    def test_user_and_password_in_the_url_win_over_the_token(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        iris.get(sandbox.base_url.replace("//", "//me:mine@") + "/echo")
        assert tokens_seen(sandbox, "api") == ["Basic bWU6bWluZQ=="]

    def test_the_bearer_of_the_same_session_as_auth_stays_on_a_redirect(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        """A bearer in `auth=` counts as the caller's authentication."""
        assert iris.get(redirect(sandbox, "/echo"), auth=iris.bearer).ok
        assert tokens_seen(sandbox, "api") == [f"Bearer {sandbox.issued[0]}"] * 2

    def test_withhold_token_sends_no_token(self, iris: IrisSession, sandbox: Sandbox) -> None:
        assert iris.get("/echo", withhold_token=True).status_code == 401
        assert tokens_seen(sandbox, "api") == []

    @pytest.mark.parametrize(
        "arguments",
        [{"withhold_token": True}, {"auth": lambda request: request}],
        ids=["withhold_token", "auth"],
    )
    @pytest.mark.parametrize("odd", ["//@127.0.0.1:", "//127.0.0.1:0"])
    def test_the_callers_authentication_wins_in_every_spelling_of_the_url(
        self, iris: IrisSession, sandbox: Sandbox, odd, arguments
    ) -> None:
        """requests sends these spellings as requests sends the usual spelling."""
        url = sandbox.base_url.replace("//127.0.0.1:", odd) + "/echo"
        assert iris.get(url, **arguments).status_code == 401
        assert tokens_seen(sandbox, "api") == []
        assert iris.get(url).ok

    @pytest.mark.parametrize("copied", [PreparedRequest.copy, copy.copy, through_pickle])
    def test_a_copy_of_a_request_keeps_the_callers_authentication(
        self,
        iris: IrisSession,
        sandbox: Sandbox,
        copied: Callable[[PreparedRequest], PreparedRequest],
    ) -> None:
        request = requests.Request("GET", "/echo", auth=lambda request: request)
        assert iris.send(copied(iris.prepare_request(request))).status_code == 401
        assert tokens_seen(sandbox, "api") == []

    def test_a_session_auth_with_a_header_wins_over_the_token(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        iris.auth = ("me", "mine")
        assert iris.get("/echo").status_code == 401
        assert tokens_seen(sandbox, "api") == ["Basic bWU6bWluZQ=="]

    def test_the_bearer_of_another_session_wins_over_the_token(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        with IrisSession(**sandbox.settings) as other:
            other.verify = sandbox.ca_file
            theirs = other.fetch_token()["access_token"]
            iris.auth = other.bearer
            assert iris.get(redirect(sandbox, "/echo")).ok
            assert tokens_seen(sandbox, "api") == [f"Bearer {theirs}"] * 2
            sandbox.revoke_access_tokens()
            assert iris.get("/echo").ok
        assert tokens_seen(sandbox, "api")[-1] == f"Bearer {sandbox.issued[-1]}"
        assert not iris.authorized

    @pytest.mark.parametrize("by", ["request", "session"])
    def test_the_bearer_of_another_session_stays_on_requests_to_its_own_host(
        self, iris: IrisSession, sandbox: Sandbox, by: str
    ) -> None:
        settings = {**sandbox.settings, "allowed_hosts": [sandbox.foreign_url]}
        with IrisSession(**settings) as other:
            other.verify = sandbox.ca_file
            iris.auth = other.bearer if by == "session" else None
            auth = other.bearer if by == "request" else None
            iris.get(redirect(sandbox, "/echo", via="foreign"), auth=auth)
            assert tokens_seen(sandbox, "foreign") == [f"Bearer {other.access_token}"] * 2

    def test_a_session_auth_without_a_header_lets_the_session_sign(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        iris.auth = lambda request: request
        assert iris.get("/echo").ok

    @pytest.mark.parametrize(
        ("auth", "seen"),
        [(("me", "mine"), ["Basic bWU6bWluZQ=="] * 2), (lambda request: request, [])],
        ids=["a header", "no trace"],
    )
    def test_the_token_does_not_replace_the_callers_authentication_on_a_redirect(
        self, iris: IrisSession, sandbox: Sandbox, auth, seen
    ) -> None:
        sandbox.inject(Fault(redirect=f"{sandbox.base_url}/echo"), on="api")
        assert len(iris.get("/echo", auth=auth).history) == 1
        assert tokens_seen(sandbox, "api") == seen
        assert sandbox.count("token") == 0

    @pytest.mark.parametrize(
        "arguments",
        [{"auth": ("me", "mine")}, {"headers": {"Authorization": "Basic bWU6bWluZQ=="}}],
        ids=["auth", "header"],
    )
    def test_authentication_for_another_host_does_not_follow_a_redirect_to_an_allowed_host(
        self, iris: IrisSession, sandbox: Sandbox, arguments
    ) -> None:
        to_us = redirect(sandbox, f"{sandbox.base_url}/echo", via="foreign")
        assert iris.get(to_us, **arguments).status_code == 401
        assert tokens_seen(sandbox, "foreign") == ["Basic bWU6bWluZQ=="]
        assert tokens_seen(sandbox, "api") == []


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_hop_on_the_same_host_is_signed_again(
        self, iris: IrisSession, sandbox: Sandbox, status: int
    ) -> None:
        response = iris.get(redirect(sandbox, "/echo", status=status))
        assert response.ok
        assert [hop.status_code for hop in response.history] == [status]

    def test_each_hop_of_a_chain_on_the_same_host_is_signed(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        chain = redirect(sandbox, redirect(sandbox, redirect(sandbox, "/echo")))
        response = iris.get(chain)
        assert response.ok
        assert tokens_seen(sandbox, "api") == [f"Bearer {sandbox.issued[-1]}"] * 4

    def test_a_chain_that_leaves_and_comes_back_is_not_signed_again(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        at_home = redirect(sandbox, redirect(sandbox, "/echo"))
        away = redirect(sandbox, at_home, via="foreign")
        assert iris.get(redirect(sandbox, redirect(sandbox, away))).status_code == 401
        assert len(tokens_seen(sandbox, "api")) == 2
        assert tokens_seen(sandbox, "foreign") == []

    def test_the_token_does_not_follow_a_redirect_to_another_host(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        assert iris.get(redirect(sandbox, f"{sandbox.foreign_url}/echo")).ok
        assert tokens_seen(sandbox, "foreign") == []

    def test_a_redirect_from_another_host_is_not_signed(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        target = f"{sandbox.base_url}/echo"
        assert iris.get(redirect(sandbox, target, via="foreign")).status_code == 401
        assert tokens_seen(sandbox, "api") == []

    def test_a_redirect_to_another_host_and_back_is_not_signed(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        back = redirect(sandbox, f"{sandbox.base_url}/echo", via="foreign")
        assert iris.get(redirect(sandbox, back)).status_code == 401
        assert len(tokens_seen(sandbox, "api")) == 1

    def test_a_withheld_token_is_not_fetched_for_a_redirect(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        sandbox.inject(Fault(redirect=f"{sandbox.foreign_url}/echo"), on="api")
        assert iris.get("/echo", withhold_token=True).ok
        assert tokens_seen(sandbox, "api") == tokens_seen(sandbox, "foreign") == []
        assert sandbox.count("token") == 0

    def test_a_redirect_between_allowed_hosts_carries_neither_the_callers_header_nor_a_token(
        self, sandbox: Sandbox
    ) -> None:
        both = [sandbox.base_url, sandbox.foreign_url]
        with IrisSession(**sandbox.settings, allowed_hosts=both) as iris:
            iris.verify = sandbox.ca_file
            sandbox.inject(Fault(redirect=f"{sandbox.foreign_url}/echo"), on="api")
            assert iris.get("/echo", auth=("me", "mine")).ok
        assert tokens_seen(sandbox, "api") == ["Basic bWU6bWluZQ=="]
        assert tokens_seen(sandbox, "foreign") == []

    def test_a_401_of_another_host_renews_nothing(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        """Though the hook of the bearer goes along with a redirect."""
        iris.fetch_token()
        sandbox.forget()
        sandbox.inject(Fault(status=401), on="foreign")
        away = redirect(sandbox, f"{sandbox.foreign_url}/echo")
        with requests.Session() as plain:
            response = plain.get(away, auth=iris.bearer, verify=sandbox.ca_file)
        assert response.status_code == 401
        assert (sandbox.count("token"), sandbox.count("foreign")) == (0, 1)

    def test_a_hop_to_plain_http_takes_no_token(self, iris: IrisSession, sandbox: Sandbox) -> None:
        sent = []

        class Adapter(requests.adapters.HTTPAdapter):
            def send(self, request, *args, **kwargs):
                sent.append(dict(request.headers))
                return super().send(request, *args, **kwargs)

        iris.mount("http://", Adapter())
        target = sandbox.base_url.replace("https", "http") + "/echo"
        with pytest.raises(requests.ConnectionError):
            iris.get(redirect(sandbox, target))
        (headers,) = sent
        assert "Authorization" not in headers

    def test_a_next_sent_by_the_caller_is_signed_for_an_allowed_host_only(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        there = iris.get(redirect(sandbox, "/echo"), allow_redirects=False)
        assert iris.send(there.next).ok
        away = iris.get(redirect(sandbox, f"{sandbox.foreign_url}/echo"), allow_redirects=False)
        assert iris.send(away.next).ok
        assert tokens_seen(sandbox, "foreign") == []

    def test_a_copy_of_a_next_from_another_host_is_not_signed(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        to_us = redirect(sandbox, f"{sandbox.base_url}/echo", via="foreign")
        back = iris.get(to_us, allow_redirects=False)
        assert iris.send(back.next.copy()).status_code == 401
        assert tokens_seen(sandbox, "api") == []

    def test_a_request_that_was_signed_once_takes_no_token_to_another_host(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        request = iris.get("/echo").request
        signature = request.headers["Authorization"]
        request.url = f"{sandbox.foreign_url}/echo"
        assert iris.send(request).ok
        assert iris.send(request.copy()).ok
        assert tokens_seen(sandbox, "foreign") == []
        assert request.headers["Authorization"] == signature, "it is the caller's"

    def test_the_request_of_a_response_is_not_changed_by_a_second_send(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        """The session made the header, but did not sign the request."""
        iris.headers["Authorization"] = "Basic bWU6bWluZQ=="
        request = iris.get("/echo").request
        del request.headers["Authorization"]
        assert iris.send(request).ok
        assert "Authorization" not in request.headers


class KeepsHeaders(requests.Session):
    """Many programs keep headers on redirects in this way; `rebuild_auth` calls no method of the
    session."""

    def rebuild_auth(self, prepared_request, response) -> None:
        """Keeps everything."""


class Kept(KeepsHeaders, IrisSession):
    pass


class KeepsMethods(IrisSession):
    """Programs send a POST again after a 302 in this way."""

    def rebuild_method(self, prepared_request, response) -> None:
        """Keeps the method."""


class TestRedirectsWithoutRebuildAuth:
    @pytest.mark.parametrize("kind", [IrisSession, Kept, KeepsMethods])
    def test_only_hops_before_the_first_other_host_carry_the_token(
        self, sandbox: Sandbox, kind: type[IrisSession]
    ) -> None:
        with kind(**sandbox.settings) as iris:
            iris.verify = sandbox.ca_file
            iris.fetch_token()
            for length in (1, 2, 3, 4):
                for chain in itertools.product(("api", "foreign"), repeat=length):
                    sandbox.forget()
                    iris.get(chained(sandbox, chain))
                    left_at = (*chain, "foreign").index("foreign")
                    # an unsigned request to the API gets a 401, which ends the chain
                    back_at = (*chain[left_at:], "api").index("api") + left_at
                    assert len(tokens_seen(sandbox, "api")) == left_at, chain
                    assert tokens_seen(sandbox, "foreign") == [], chain
                    arrived = sandbox.count("api") + sandbox.count("foreign")
                    assert arrived == min(back_at + 1, length), chain
                    assert sandbox.count("token") == 0, chain

    @pytest.mark.parametrize(
        "again",
        [
            lambda iris, hop: iris.send(hop),
            lambda iris, hop: iris.send(hop.copy()),
            lambda iris, hop: iris.send(prepared_in_place(hop)),
            lambda iris, hop: iris.get(hop.url, headers=hop.headers),
            lambda iris, hop: iris.send(
                iris.prepare_request(requests.Request(hop.method, hop.url, headers=hop.headers))
            ),
        ],
        ids=["next", "copy", "prepared in place", "by its headers", "prepared by its headers"],
    )
    @pytest.mark.parametrize("kind", [IrisSession, Kept, KeepsMethods])
    def test_a_next_of_another_host_is_never_signed(
        self, sandbox: Sandbox, kind: type[IrisSession], again
    ) -> None:
        with kind(**sandbox.settings) as iris:
            iris.verify = sandbox.ca_file
            hop = iris.get(chained(sandbox, ("foreign", "api")), allow_redirects=False).next
            assert again(iris, hop).status_code == 401
        assert tokens_seen(sandbox, "api") == []

    def test_a_bearer_given_as_auth_follows_no_redirect_to_another_host(
        self, sandbox: Sandbox
    ) -> None:
        with Kept(**sandbox.settings) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get(chained(sandbox, ("api", "foreign")), auth=iris.bearer).ok
        assert len(tokens_seen(sandbox, "api")) == 1
        assert tokens_seen(sandbox, "foreign") == []

    def test_a_next_of_an_allowed_host_carries_no_header_before_its_send(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        hop = iris.get(redirect(sandbox, "/echo"), allow_redirects=False).next
        assert "Authorization" not in hop.headers
        assert iris.send(hop).ok


def prepared_in_place(request: PreparedRequest) -> PreparedRequest:
    request.prepare(method=request.method, url=request.url, headers=dict(request.headers))
    return request


def chained(sandbox: Sandbox, hosts: tuple[str, ...]) -> str:
    """A URL at the first of `hosts` that redirects to the next one, and so on to /echo."""
    base = {"api": sandbox.base_url, "foreign": sandbox.foreign_url}
    url = f"{base[hosts[-1]]}/echo"
    for host in reversed(hosts[:-1]):
        url = redirect(sandbox, url, via=host)
    return url


class TestTheRequestThatIsSent:
    @pytest.mark.parametrize("stale", [False, True])
    def test_a_url_changed_during_the_sign_in_does_not_get_the_token(
        self, iris: IrisSession, sandbox: Sandbox, stale: bool
    ) -> None:
        """As if another thread changed the request between the decision and the send."""
        prepared = iris.prepare_request(requests.Request("GET", "/echo"))
        if stale:
            iris.send(prepared)
            sandbox.forget()
            iris.token = {}

        def change(_: object) -> None:
            prepared.url = f"{sandbox.foreign_url}/echo"
            prepared.headers["X-Mine"] = "too late"

        iris.token_updater = change
        response = iris.send(prepared)
        assert response.ok
        assert "X-Mine" not in response.json()["headers"]
        assert len(tokens_seen(sandbox, "api")) == 1
        assert sandbox.count("foreign") == 0

    @pytest.mark.parametrize("name", [b"authorization", b"Authorization", "AUTHORIZATION"])
    @pytest.mark.parametrize("kind", [dict, None])
    def test_a_header_of_the_callers_counts_in_every_spelling(
        self, iris: IrisSession, sandbox: Sandbox, name, kind
    ) -> None:
        prepared = iris.prepare_request(requests.Request("GET", "/echo"))
        if kind:
            prepared.headers = kind(prepared.headers)
        prepared.headers[name] = "Basic bWU6bWluZQ=="
        assert iris.send(prepared).status_code == 401
        assert tokens_seen(sandbox, "api") == ["Basic bWU6bWluZQ=="]
        assert sandbox.count("token") == 0

    def test_a_401_of_another_host_makes_the_bearer_renew_nothing(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        """A plain session follows the redirect with the token a single time."""
        iris.fetch_token()
        sandbox.forget()
        sandbox.inject(Fault(status=401), on="foreign")
        with KeepsHeaders() as plain:
            plain.verify, plain.auth = sandbox.ca_file, iris.bearer
            response = plain.get(redirect(sandbox, f"{sandbox.foreign_url}/echo"))
            assert response.status_code == 401
            assert plain.get(f"{sandbox.base_url}/echo").ok
        assert sandbox.count("token") == 0
        assert sandbox.count("foreign") == 1

    def test_the_bearer_signs_no_plain_http_request_through_a_proxy_of_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        saved = {"access_token": "a", "token_type": "Bearer", "expires_at": time.time() + 3600}
        with IrisSession(base_url="http://127.0.0.1:8080", token=saved) as iris:
            request = requests.Request("GET", "http://127.0.0.1:8080/x", auth=iris.bearer)
            assert request.prepare().headers["Authorization"] == "Bearer a"
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:3128")
            monkeypatch.setenv("no_proxy", "")
            assert "Authorization" not in request.prepare().headers

    def test_the_bearer_replaces_a_header_as_every_auth_does(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        with requests.Session() as plain:
            plain.verify, plain.auth = sandbox.ca_file, iris.bearer
            plain.headers["Authorization"] = "Bearer left-over"
            assert plain.get(f"{sandbox.base_url}/echo").ok
            plain.get(f"{sandbox.foreign_url}/echo")
        assert tokens_seen(sandbox, "foreign") == ["Bearer left-over"]

    def test_withhold_token_removes_the_token_of_an_earlier_send(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        headers = iris.get("/echo").request.headers
        sandbox.forget()
        assert iris.get("/echo", headers=headers, withhold_token=True).status_code == 401
        assert tokens_seen(sandbox, "api") == []

    def test_withhold_token_does_not_reach_the_requests_of_a_hook(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        told = []

        def hook(response: requests.Response, **_: object) -> None:
            told.append(iris.get("/echo").status_code)
            prepared = iris.prepare_request(requests.Request("GET", "/echo"))
            told.append(iris.send(prepared).status_code)

        iris.get("/echo", withhold_token=True, hooks={"response": hook})
        assert told == [200, 200]


class TestWhoseHeader:
    """A log record after a 401 names the authentication that was sent in the token's place."""

    @pytest.mark.parametrize("redirected", [False, True])
    @pytest.mark.parametrize("auth", [("me", "mine"), lambda r: with_header(r)])
    def test_the_log_names_session_auth_as_the_source_of_a_header(
        self, iris: IrisSession, sandbox: Sandbox, caplog, auth, redirected
    ) -> None:
        iris.auth = auth
        iris.get(redirect(sandbox, "/echo") if redirected else "/echo")
        assert [each.getMessage() for each in caplog.records] == [
            hidden_by(sandbox, "session.auth")
        ]

    def test_the_log_names_auth_as_the_source_of_a_header(
        self, iris: IrisSession, sandbox: Sandbox, caplog
    ) -> None:
        iris.get("/echo", auth=("me", "mine"))
        assert [each.getMessage() for each in caplog.records] == [hidden_by(sandbox, "auth=")]

    def test_a_header_beside_an_auth_without_effect_is_the_callers_own(
        self, iris: IrisSession, sandbox: Sandbox, caplog
    ) -> None:
        iris.auth = lambda request: request
        iris.get("/echo", headers={"Authorization": "Basic bWU6bWluZQ=="})
        own = "an Authorization header of your own"
        assert [each.getMessage() for each in caplog.records] == [hidden_by(sandbox, own)]

    def test_an_auth_without_effect_hides_no_rejected_token(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        """The Singer SDK sets such an auth; the headers come from an earlier response."""
        iris.auth = lambda request: request
        headers = iris.get("/echo").request.headers
        sandbox.revoke_access_tokens()
        iris.get("/echo")
        again = iris.get("/echo", headers=headers)
        assert (again.status_code, again.history) == (200, [])


def with_header(request: PreparedRequest) -> PreparedRequest:
    request.headers["Authorization"] = "Basic bWU6bWluZQ=="
    return request


class TestPlainHttp:
    """Plain HTTP may carry secrets to a loopback address, so a proxy must not see the request."""

    @pytest.mark.parametrize("mounted", [False, True])
    @pytest.mark.parametrize("by", ["session", "request", "environment"])
    def test_a_proxy_for_plain_http_sees_no_secret(
        self, by: str, mounted: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[tuple[str, bool]] = []

        class Handler(BaseHTTPRequestHandler):
            """A target; and a proxy, which is asked for whole URLs (RFC 9112 section 3.2.2)."""

            def do_GET(self) -> None:
                asked.append((self.path, "Authorization" in self.headers))
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = b'{"access_token": "a", "token_type": "Bearer"}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                """Silent."""

        with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
            url = f"http://{address}"
            proxies = {"http": url}
            with IrisSession(**USER, base_url=url, token_url=f"{url}/token") as iris:
                if mounted:
                    iris.mount("http://", requests.adapters.HTTPAdapter())
                if by == "session":
                    iris.proxies = proxies
                if by == "environment":
                    monkeypatch.setenv("http_proxy", url)
                assert iris.get("/echo", proxies=proxies if by == "request" else None).ok
                assert asked.pop() == (f"{url}/echo", False), "as requests does, unsigned"
                assert not asked, "and without a token call"
                iris.fetch_token()
                assert asked.pop() == ("/token", True), "which goes through no proxy"
                iris.proxies, iris.trust_env = {}, False
                response = iris.get("/echo")
                assert asked.pop() == ("/echo", True)
                assert iris.send(response.request, proxies=proxies).ok
                assert asked.pop() == (f"{url}/echo", False), "nor by a second sending"
                iris.proxies = proxies
                assert iris.send(iris.prepare_request(requests.Request("GET", "/echo"))).ok
                assert asked.pop() == (f"{url}/echo", False), "nor a prepared one"


class TestNetrc:
    @pytest.fixture(autouse=True)
    def _netrc(self, tmp_path, monkeypatch) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password mine\n")
        monkeypatch.setenv("NETRC", str(netrc))

    def test_netrc_does_not_replace_the_token(self, iris: IrisSession, sandbox: Sandbox) -> None:
        assert iris.get("/echo").ok

    def test_netrc_does_not_replace_the_token_on_a_redirect(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        assert iris.get(redirect(sandbox, "/echo")).ok

    def test_netrc_serves_other_hosts(self, iris: IrisSession, sandbox: Sandbox) -> None:
        iris.get(f"{sandbox.foreign_url}/echo")
        iris.get(redirect(sandbox, f"{sandbox.foreign_url}/echo"))
        assert tokens_seen(sandbox, "foreign") == ["Basic bWU6bWluZQ=="] * 2

    def test_netrc_does_not_change_a_token_request(
        self, iris: IrisSession, sandbox: Sandbox
    ) -> None:
        iris.fetch_token()
        (seen,) = tokens_seen(sandbox, "token")
        assert seen != "Basic bWU6bWluZQ=="
