"""Code for requests.Session works here: cases that the suite of requests leaves out."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import io
import pickle
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests_futures.sessions import FuturesSession
from requests_toolbelt import MultipartEncoder

from requests_iris import IrisSession
from requests_iris.sandbox import Fault, Sandbox

from .support.redirects import redirect, tokens_seen
from .support.waiting import wait_until


class Canned(BaseAdapter):
    """An adapter that answers every request, and keeps the requests."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[requests.PreparedRequest, dict]] = []

    def send(self, request, **kwargs) -> requests.Response:
        self.asked.append((request, kwargs))
        response = requests.Response()
        response.status_code = 200
        response.url = request.url
        response.request = request
        response.raw = io.BytesIO(b"canned")
        return response

    def close(self) -> None:
        pass


class TestRequest:
    def test_the_arguments_of_request_have_requests_own_order(self, iris, sandbox) -> None:
        """OAuth2Session puts `data` where requests has `params`."""
        told = iris.request("POST", "/echo", {"q": "1"}, b"body", {"X-Mine": "1"}).json()
        assert told["args"] == {"q": "1"}
        assert told["size"] == 4
        assert told["headers"]["X-Mine"] == "1"

    @pytest.mark.parametrize("params", [None, {}, "", {"q": "1"}], ids=str)
    def test_params_of_the_session_are_sent(self, iris, params) -> None:
        iris.params = {"all": "1"}
        assert iris.get("/echo", params=params).json()["args"] == {"all": "1", **(params or {})}

    @pytest.mark.parametrize("url", ["mock://there/x", b"mock://there/x", "http://there/x"])
    def test_urls_of_other_hosts_and_schemes_are_sent_as_in_requests(
        self, iris, sandbox, url
    ) -> None:
        canned = Canned()
        iris.mount("mock://", canned)
        iris.mount("http://", canned)
        assert iris.get(url).text == "canned"
        assert "Authorization" not in canned.asked[0][0].headers
        assert sandbox.count("token") == 0

    def test_a_bytes_url_of_an_allowed_host_is_signed(self, iris, sandbox) -> None:
        assert iris.get(f"{sandbox.base_url}/echo".encode()).ok

    def test_a_request_prepared_elsewhere_is_signed(self, iris, sandbox) -> None:
        prepared = requests.Request("PUT", f"{sandbox.base_url}/echo", data=b"body").prepare()
        before = (dict(prepared.headers), prepared.body, dict(prepared.hooks))
        assert iris.send(prepared).json()["size"] == 4
        assert (dict(prepared.headers), prepared.body, dict(prepared.hooks)) == before

    def test_a_prepared_request_of_a_subclass_keeps_its_class(self, iris, sandbox) -> None:
        class Elsewhere(requests.PreparedRequest):
            path_url = "/echo"

        request = Elsewhere()
        request.prepare("GET", f"{sandbox.base_url}/nowhere")
        assert iris.send(request).ok
        sandbox.revoke_access_tokens()
        assert iris.send(request).ok

    def test_a_request_prepared_two_hours_ago_gets_a_fresh_token(
        self, iris, sandbox, clock
    ) -> None:
        prepared = iris.prepare_request(requests.Request("GET", "/echo"))
        iris.send(prepared)
        clock.sleep(7200)
        sandbox.expire_access_tokens()
        response = iris.send(prepared)
        assert response.ok
        assert response.history == []

    def test_dicts_of_the_caller_are_not_changed(self, iris) -> None:
        given = {
            "params": {"a": "1"},
            "headers": {"b": "2"},
            "cookies": {"c": "3"},
            "hooks": {"response": [lambda response, **_: None]},
            "proxies": {},
            "data": {"e": "5"},
        }
        before = copy.deepcopy(given)
        iris.post("/echo", **given)
        del given["proxies"], before["proxies"]  # requests itself writes here
        hooks, hooks_before = given.pop("hooks"), before.pop("hooks")
        assert given == before
        assert len(hooks["response"]) == len(hooks_before["response"])

    @pytest.mark.parametrize("hooks", [None, {}, {"response": None}])
    def test_a_prepared_request_may_be_without_hooks(self, iris, sandbox, hooks) -> None:
        prepared = requests.Request("GET", f"{sandbox.base_url}/echo").prepare()
        prepared.hooks = hooks
        assert iris.send(prepared).ok

    def test_a_request_instead_of_a_prepared_one_is_refused_as_in_requests(self, iris) -> None:
        with pytest.raises(ValueError, match="PreparedRequest"):
            iris.send(requests.Request("GET", f"{iris.base_url}/echo"))

    def test_a_stream_is_not_consumed(self, iris, sandbox) -> None:
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        with iris.get("/echo", stream=True) as response:
            assert response.ok
            assert not response._content_consumed
            assert response.raw.read(1) == b"{"

    def test_a_session_works_again_after_close(self, iris, sandbox) -> None:
        iris.get("/echo")
        iris.close()
        assert iris.get("/echo").ok
        assert sandbox.count("token") == 1


class TestMount:
    def test_an_adapter_mounted_before_the_first_request_is_used(self, iris, sandbox) -> None:
        canned = Canned()
        iris.token = {"access_token": "saved"}
        iris.mount(sandbox.base_url, canned)
        assert iris.get("/echo").text == "canned"
        request, settings = canned.asked[0]
        assert request.headers["Authorization"] == "Bearer saved"
        assert settings["timeout"] == (10.0, 60.0)

    def test_an_adapter_mounted_after_a_request_is_used(self, iris, sandbox) -> None:
        iris.get("/echo")
        canned = Canned()
        iris.mount("https://", canned)
        assert iris.get("/echo").text == "canned"

    def test_a_new_session_has_adapters_for_the_prefixes_of_requests(self) -> None:
        assert list(IrisSession().adapters) == list(requests.Session().adapters)

    def test_the_token_request_goes_through_a_mounted_adapter(self, iris, sandbox) -> None:
        hosts = []

        class Watching(HTTPAdapter):
            def send(self, request, *args, **kwargs):
                hosts.append(request.url)
                return super().send(request, *args, **kwargs)

        iris.mount("https://", Watching())
        iris.get("/echo")
        assert hosts == [sandbox.token_url, f"{sandbox.base_url}/echo"]


class TestRedirects:
    @pytest.mark.parametrize(("status", "size"), [(303, 0), (307, 4), (308, 4)])
    @pytest.mark.parametrize("kind", ["bytes", "file"])
    def test_bodies_follow_a_redirect_as_in_requests(
        self, iris, sandbox, status, size, kind
    ) -> None:
        body = b"body" if kind == "bytes" else io.BytesIO(b"body")
        response = iris.post(redirect(sandbox, "/echo", status=status), data=body)
        assert response.json()["size"] == size
        assert response.json()["method"] == ("GET" if status == 303 else "POST")

    def test_a_redirect_between_allowed_hosts_is_signed(self, sandbox: Sandbox) -> None:
        hosts = [sandbox.base_url, sandbox.foreign_url]
        with IrisSession(**sandbox.settings, allowed_hosts=hosts) as iris:
            iris.verify = sandbox.ca_file
            assert iris.get(redirect(sandbox, f"{sandbox.foreign_url}/echo")).ok
        assert tokens_seen(sandbox, "foreign") == [f"Bearer {sandbox.issued[-1]}"]

    def test_a_hop_is_resent_after_a_401_which_is_in_the_history(self, iris, sandbox) -> None:
        iris.get("/echo")
        sandbox.inject(Fault(status=401, body="{}"), on="api", path="/echo")
        response = iris.post(redirect(sandbox, "/echo", status=307), data=io.BytesIO(b"body"))
        assert response.json()["size"] == 4
        assert [each.status_code for each in response.history] == [307, 401]

    def test_a_401_before_a_hop_is_in_the_history(self, iris, sandbox) -> None:
        iris.get("/echo")
        sandbox.revoke_access_tokens()
        response = iris.get(redirect(sandbox, "/echo"))
        assert response.ok
        assert [each.status_code for each in response.history] == [401, 302]

    @pytest.mark.parametrize(
        "location",
        [
            "https://127.0.0.1:{port}@{foreign}/echo",
            "https://127.0.0.1:{port}\\@{foreign}/echo",
            "//{foreign}/echo",
            "https://{foreign}#@127.0.0.1:{port}/echo",
            "https://127.0.0.1:{port}%2f@{foreign}/echo",
            "HTTPS://{foreign}/echo",
        ],
    )
    def test_a_redirect_to_a_look_alike_of_an_allowed_host_gets_no_token(
        self, iris, sandbox, location
    ) -> None:
        port = sandbox.base_url.rpartition(":")[2]
        foreign = sandbox.foreign_url.removeprefix("https://")
        target = location.format(port=port, foreign=foreign)
        with contextlib.suppress(requests.RequestException):
            iris.get(redirect(sandbox, target))
        assert tokens_seen(sandbox, "foreign") == []


def reader(body: bytes) -> Iterator[bytes]:
    yield body[:2]
    yield body[2:]


class Sized:
    """An iterator with a length."""

    def __init__(self, body: bytes) -> None:
        self._body, self._pieces = body, reader(body)

    def __len__(self) -> int:
        return len(self._body)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces


class Unseekable(io.BytesIO):
    def seek(self, *_: object) -> int:
        raise OSError("not seekable")


def file_that_does_not_stand_at_0() -> io.BytesIO:
    file = io.BytesIO(b"skip,body")
    file.seek(5)
    return file


#: the body, and whether the body can be sent a second time
BODIES: dict[str, tuple[Callable[[], dict], bool]] = {
    "none": (lambda: {}, True),
    "bytes": (lambda: {"data": b"body"}, True),
    "str": (lambda: {"data": "b\xf6dy".encode()}, True),
    "JSON": (lambda: {"json": {"a": [1, 2]}}, True),
    "form": (lambda: {"data": {"a": "1", "b": ["2", "3"]}}, True),
    "multipart": (lambda: {"files": {"file": ("name", b"content")}}, True),
    "file": (lambda: {"data": file_that_does_not_stand_at_0()}, True),
    "unseekable file": (lambda: {"data": Unseekable(b"body")}, False),
    "MultipartEncoder": (lambda: {"data": MultipartEncoder({"a": "1"}, boundary="b")}, False),
    "iterator with a length": (lambda: {"data": Sized(b"body")}, False),
    "generator": (lambda: {"data": reader(b"body")}, False),
}


@pytest.mark.parametrize(("body", "again"), BODIES.values(), ids=BODIES)
class TestBodiesAfterA401:
    def test_the_server_gets_the_same_bytes_or_the_caller_the_401(
        self, iris, sandbox, body, again
    ) -> None:
        whole = iris.post("/echo", **body()).json()
        sandbox.revoke_access_tokens()
        response = iris.post("/echo", **body())
        if again:
            told = response.json()
            if "multipart" not in whole["headers"].get("Content-Type", ""):  # a boundary each
                assert told["sha256"] == whole["sha256"]
            assert told["size"] == whole["size"]
        else:
            assert response.status_code == 401
            assert iris.post("/echo", **body()).json()["sha256"] == whole["sha256"]

    def test_the_bearer_resends_the_same_bytes_or_the_caller_gets_the_401(
        self, iris, sandbox, body, again
    ) -> None:
        with requests.Session() as plain:
            plain.verify, plain.auth = sandbox.ca_file, iris.bearer
            whole = plain.post(f"{sandbox.base_url}/echo", **body()).json()
            sandbox.revoke_access_tokens()
            response = plain.post(f"{sandbox.base_url}/echo", **body())
        assert response.status_code == (200 if again else 401)
        assert not again or response.json()["size"] == whole["size"]


class TestBearer:
    def test_the_bearer_serves_a_call_of_requests_get(self, iris, sandbox) -> None:
        url = f"{sandbox.base_url}/echo"
        assert requests.get(url, auth=iris.bearer, verify=sandbox.ca_file).ok
        sandbox.expire_access_tokens()
        response = requests.get(url, auth=iris.bearer, verify=sandbox.ca_file)
        assert [each.status_code for each in response.history] == [401]
        assert sandbox.count("refresh_token") == 1

    @pytest.mark.parametrize("via", ["api", "foreign"])
    def test_the_bearer_signs_for_no_other_host(self, iris, sandbox, via) -> None:
        target = f"{sandbox.foreign_url}/echo" if via == "api" else f"{sandbox.base_url}/echo"
        url = redirect(sandbox, target, via=via)
        requests.get(url, auth=iris.bearer, verify=sandbox.ca_file)
        assert tokens_seen(sandbox, "foreign") == []
        assert len(tokens_seen(sandbox, "api")) == (1 if via == "api" else 0)

    def test_a_pickled_response_holds_nothing_of_the_session(self, iris, sandbox) -> None:
        url = f"{sandbox.base_url}/api/asset/v1/assets"
        response = requests.get(url, auth=iris.bearer, verify=sandbox.ca_file)
        pickled = pickle.dumps(response)
        assert sandbox.settings["password"].encode() not in pickled
        assert sandbox.issued[-1].encode() not in pickled
        (hook,) = pickle.loads(pickled).request.hooks["response"]
        assert hook(response) is response


class TestCopies:
    @pytest.mark.parametrize(
        "copied",
        [copy.copy, copy.deepcopy, lambda session: pickle.loads(pickle.dumps(session))],
        ids=["copy", "deepcopy", "pickle"],
    )
    def test_a_session_can_be_copied_while_another_thread_renews(
        self, iris, sandbox, copied
    ) -> None:
        iris.get("/echo")
        sandbox.expire_access_tokens()
        iris.token = {**iris.token, "expires_at": time.time()}
        sandbox.inject(Fault(delay=0.5), on="token")
        renewing = threading.Thread(target=iris.get, args=("/echo",))
        renewing.start()
        wait_until(lambda: sandbox.count("refresh_token") == 1)
        with copied(iris) as other:
            assert other.get("/echo").ok
        renewing.join()

    def test_a_pickled_error_holds_nothing_of_the_session(self, iris, sandbox) -> None:
        iris.get("/echo")
        with pytest.raises(requests.ConnectionError) as caught:
            iris.get("/echo", proxies={"https": "http://127.0.0.1:9"})
        pickled = pickle.dumps(caught.value)
        assert sandbox.issued[-1].encode() not in pickled
        assert caught.value.request.hooks == {"response": []}


class Labelled(requests.Session):
    __attrs__ = (*requests.Session.__attrs__, "label")
    label = ""


class TestMixins:
    def test_a_mixin_that_overrides_request_works(self, sandbox) -> None:
        class Mixin(requests.Session):
            def request(self, method, url, *args, **kwargs):
                kwargs.setdefault("headers", {"X-Mixed": "1"})
                return super().request(method, url, *args, **kwargs)

        self.check(type("Mixed", (Mixin, IrisSession), {}), sandbox)

    def test_a_mixin_that_overrides_send_works(self, sandbox) -> None:
        class Mixin(requests.Session):
            def send(self, request, **kwargs):
                request.headers["X-Mixed"] = "1"
                return super().send(request, **kwargs)

        self.check(type("Mixed", (Mixin, IrisSession), {}), sandbox)

    @pytest.mark.parametrize("first", [True, False])
    def test_a_mixin_keeps_its_own_attributes_in_pickles(self, sandbox, first) -> None:
        bases = (Labelled, IrisSession) if first else (IrisSession, Labelled)
        with type("Mixed", bases, {})(**sandbox.settings) as session:
            session.verify, session.label = sandbox.ca_file, "mine"
            with copy.copy(session) as other:
                assert other.get("/echo").ok
                assert other.label == "mine"

    def test_a_subclass_of_iris_session_works(self, sandbox) -> None:
        class Sub(IrisSession):
            def __init__(self, **settings) -> None:
                super().__init__(**settings)
                self.headers["X-Mixed"] = "1"

        self.check(Sub, sandbox)

    def test_a_subclass_of_iris_session_may_define_equality(self, sandbox) -> None:
        """Python then takes away its hash."""

        class Sub(IrisSession):
            def __eq__(self, other: object) -> bool:
                return isinstance(other, Sub)

        with Sub(**sandbox.settings) as session, copy.copy(session) as other:
            other.verify = sandbox.ca_file
            assert other.get("/echo").ok

    def check(self, kind: type[IrisSession], sandbox: Sandbox) -> None:
        with kind(**sandbox.settings) as session:
            session.verify = sandbox.ca_file
            assert session.get("/echo").json()["headers"]["X-Mixed"] == "1"
            sandbox.revoke_access_tokens()
            assert session.get("/echo").json()["headers"]["X-Mixed"] == "1"
        token_requests = [seen for seen in sandbox.seen if seen.server == "token"]
        assert len(token_requests) == 2
        assert not [seen for seen in token_requests if "X-Mixed" in seen.headers]

    def test_requests_futures_as_a_mixin_signs_in_once(self, sandbox) -> None:
        class Futures(FuturesSession, IrisSession):
            pass

        with Futures(max_workers=16, **sandbox.settings) as session:
            session.verify = sandbox.ca_file
            futures = [session.get("/echo") for _ in range(32)]
            assert all(future.result().ok for future in futures)
        assert sandbox.count("token") == 1

    def test_requests_futures_works_around_a_session(self, iris, sandbox) -> None:
        with FuturesSession(session=iris) as futures:
            assert futures.get(f"{sandbox.base_url}/echo").result().ok


class Between(requests.Session):
    """A user's class between IrisSession and requests.Session. The class keeps the arguments from
    its caller."""

    passed: list[dict[str, object]]

    def request(self, method, url, **kwargs):
        vars(self).setdefault("passed", []).append(dict(kwargs))
        return super().request(method, url, **kwargs)


class TestCalledAsRequestsIsCalled:
    """Subclasses, mixins and monkeypatches are written against requests' own calls."""

    @pytest.mark.parametrize(
        "call",
        [
            lambda session, url: session.get(url),
            lambda session, url: session.get(url, params={"a": "1"}, timeout=None),
            lambda session, url: session.get(url, auth=("me", "mine"), timeout=5),
            lambda session, url: session.head(url),
            lambda session, url: session.post(url, json={"a": 1}, headers={"X-Mine": "1"}),
            lambda session, url: session.put(url, b"body", stream=True, verify=True),
            lambda session, url: session.request("GET", url),
            lambda session, url: session.request(method="GET", url=url, cookies={"a": "1"}),
        ],
    )
    def test_exactly_the_arguments_of_the_caller_are_passed_on(self, iris, sandbox, call) -> None:
        class Ours(IrisSession, Between):
            pass

        url = f"{sandbox.base_url}/echo"
        with Ours(token=iris.fetch_token()) as ours, Between() as plain:
            for session in (ours, plain):
                session.mount("https://", Canned())
                call(session, url)
            assert ours.passed == plain.passed

    def test_arguments_by_position_are_passed_on_by_name(self, iris, sandbox) -> None:
        class Ours(IrisSession, Between):
            pass

        with Ours(**sandbox.settings) as ours:
            ours.verify = sandbox.ca_file
            told = ours.request("POST", "/echo", {"q": "1"}, b"body", {"X-Mine": "1"}).json()
        assert (told["args"], told["size"], told["headers"]["X-Mine"]) == ({"q": "1"}, 4, "1")
        names = {"params": {"q": "1"}, "data": b"body", "headers": {"X-Mine": "1"}}
        assert ours.passed == [names]

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda iris: iris.request("GET", "/echo", *[None] * 15),
            lambda iris: iris.request("GET", "/echo", None, params=None),
            lambda iris: iris.request("GET", "/echo", worker=3),
            lambda iris: iris.request("GET"),
        ],
        ids=["too many", "twice", "unknown", "missing"],
    )
    def test_wrong_arguments_are_a_type_error(self, iris, wrong) -> None:
        with pytest.raises(TypeError):
            wrong(iris)

    def test_the_signature_is_that_of_requests_and_two_more(self, iris) -> None:
        ours = inspect.signature(iris.request).parameters
        theirs = inspect.signature(requests.Session().request).parameters
        added = {"withhold_token", "idempotent"}
        assert list(ours)[: len(theirs)] == list(theirs)
        assert set(ours) - set(theirs) == added
        for name, parameter in theirs.items():
            assert (ours[name].kind, ours[name].default) == (parameter.kind, parameter.default)

    @pytest.mark.parametrize("first", [True, False])
    @pytest.mark.parametrize(
        ("given", "used"), [({}, 9), ({"timeout": 3}, 3), ({"timeout": None}, None)]
    )
    def test_a_default_timeout_of_a_subclass_is_in_force(self, sandbox, first, given, used) -> None:
        class Team(requests.Session):
            def request(self, method, url, **kwargs):
                return super().request(method, url, **{"timeout": 9, **kwargs})

        kind = type("Mine", (Team, IrisSession) if first else (IrisSession, Team), {})
        assert self.timeout_of(kind, **given) == used

    @pytest.mark.parametrize(
        ("given", "used"), [({}, 9), ({"timeout": 3}, 3), ({"timeout": None}, None)]
    )
    def test_a_default_timeout_by_partialmethod_is_in_force(self, monkeypatch, given, used) -> None:
        patched = functools.partialmethod(requests.Session.request, timeout=9)
        monkeypatch.setattr(requests.Session, "request", patched)
        assert self.timeout_of(IrisSession, **given) == used

    @pytest.mark.parametrize(("given", "used"), [({}, (10.0, 60.0)), ({"timeout": None}, None)])
    def test_a_timeout_of_none_waits_without_limit_as_in_requests(self, given, used) -> None:
        assert self.timeout_of(IrisSession, **given) == used

    def timeout_of(self, kind: type[IrisSession], **arguments: object) -> object:
        with kind(token={"access_token": "saved"}) as session:
            canned = Canned()
            session.mount("https://", canned)
            session.get("/echo", **arguments)
        return canned.asked[0][1]["timeout"]

    def test_send_and_the_adapter_get_what_requests_gives_them(self) -> None:
        class Sent(requests.Session):
            def send(self, request, **kwargs):
                vars(self).setdefault("sent", []).append(dict(kwargs))
                return super().send(request, **kwargs)

        class Ours(IrisSession, Sent):
            pass

        with Ours(token={"access_token": "saved"}) as ours, Sent() as plain:
            for session in (ours, plain):
                session.mount("https://", Canned())
                session.get("https://iris.trackunit.com/echo", timeout=5)
            assert ours.sent == plain.sent
            canned = [session.get_adapter("https://").asked for session in (ours, plain)]
            assert canned[0][0][1] == canned[1][0][1]

    @pytest.mark.parametrize("name", ["params", "headers"])
    def test_a_subclass_may_write_to_the_dicts_of_a_request(self, iris, sandbox, name) -> None:
        class Adds(requests.Session):
            def prepare_request(self, request):
                getattr(request, name)["x-mine"] = "1"
                return super().prepare_request(request)

        class Ours(IrisSession, Adds):
            pass

        with Ours(**sandbox.settings) as ours:
            ours.verify = sandbox.ca_file
            told = ours.get("/echo").json()
        told = {**told["args"], **told["headers"]}
        assert {name.lower(): value for name, value in told.items()}["x-mine"] == "1"

    def test_a_patched_prepare_request_may_write_to_the_dicts_of_a_request(
        self, iris, monkeypatch
    ) -> None:
        original = requests.Session.prepare_request

        @functools.wraps(original)
        def patched(session, request):
            request.params["q"] = "1"
            return original(session, request)

        monkeypatch.setattr(requests.Session, "prepare_request", patched)
        assert iris.get("/echo").json()["args"] == {"q": "1"}

    def test_a_header_of_the_session_that_is_none_is_not_sent(self, iris) -> None:
        iris.headers["Accept"] = None
        assert "Accept" not in iris.get("/echo").json()["headers"]

    def test_an_adapter_may_pickle_the_request(self, iris, sandbox) -> None:
        class Pickling(HTTPAdapter):
            def send(self, request, **kwargs):
                pickled = pickle.dumps(request)
                assert sandbox.issued[-1].encode() not in pickled
                (hook,) = pickle.loads(pickled).hooks["response"]
                assert hook("a response") == "a response"
                return super().send(request, **kwargs)

        iris.fetch_token()
        iris.mount(sandbox.base_url, Pickling())
        assert iris.get("/echo").ok

    def test_the_base_url_is_a_plain_attribute_and_moves_no_permission(self, sandbox) -> None:
        base_url = f"{sandbox.base_url}/api/"
        with IrisSession(**{**sandbox.settings, "base_url": base_url}) as iris:
            iris.verify = sandbox.ca_file
            assert (iris.base_url, vars(iris)["base_url"]) == (base_url, base_url)
            assert iris.get("/asset/v1/assets").ok
            iris.base_url = f"{sandbox.foreign_url}//"
            assert iris.get("/echo").url == f"{sandbox.foreign_url}/echo"
        assert tokens_seen(sandbox, "foreign") == []


class TestUrlsThatLackSomething:
    @pytest.mark.parametrize("url", ["api/asset/v1/assets", b"api/asset/v1/assets", "a?b=c"])
    @pytest.mark.parametrize(
        "read", [lambda iris, url: iris.get(url), lambda iris, url: next(iris.items(url))]
    )
    def test_the_error_for_a_path_without_a_slash_says_so(self, iris, url, read) -> None:
        with pytest.raises(requests.exceptions.MissingSchema) as caught:
            read(iris, url)
        assert "start the path with one slash ('/a" in str(caught.value)
        assert "Perhaps" not in str(caught.value)
        assert "b=c" not in str(caught.value), "a query may be private"


class TestOAuth2Session:
    def test_the_methods_of_oauth2session_work(self, iris, sandbox) -> None:
        iris.get("/echo")
        assert iris.authorized
        assert iris.access_token == iris.token["access_token"]
        assert iris.client_id == sandbox.settings["client_id"]
        assert iris.auto_refresh_url == sandbox.token_url
        del iris.access_token
        assert not iris.authorized
        iris.access_token = "given"
        assert iris.token == {"access_token": "given", "token_type": "Bearer"}

    def test_the_client_id_can_be_set(self, iris, sandbox) -> None:
        iris.client_id = "other"
        with pytest.raises(requests.RequestException, match="invalid_client"):
            iris.get("/echo")
        iris.client_id = sandbox.settings["client_id"]
        assert iris.get("/echo").ok

    def test_the_scope_can_be_set(self, iris, sandbox) -> None:
        iris.scope = ["api"]
        iris.get("/echo")
        assert sandbox.seen[0].form["scope"] == "api"

    def test_the_token_updater_can_be_set(self, iris) -> None:
        told = []
        iris.token_updater = told.append
        iris.get("/echo")
        assert told == [iris.token]

    @pytest.mark.parametrize(
        "ask",
        [
            lambda iris: iris.register_compliance_hook("protected_request", print),
            lambda iris: iris.authorization_url("https://auth.trackunit.com/authorize"),
            lambda iris: iris.token_from_fragment("https://localhost/#access_token=x"),
            lambda iris: setattr(iris, "auto_refresh_kwargs", {"client_id": "x"}),
        ],
    )
    def test_methods_that_iris_cannot_have_are_refused_in_one_line(self, iris, ask) -> None:
        with pytest.raises(NotImplementedError) as caught:
            ask(iris)
        assert "\n" not in str(caught.value)

    def test_another_refresh_url_is_refused(self, iris) -> None:
        with pytest.raises(ValueError, match="token_url"):
            iris.auto_refresh_url = "https://elsewhere.example/token"

    def test_unknown_arguments_are_refused(self, iris) -> None:
        with pytest.raises(TypeError, match="client_secret"):
            iris.get("/echo", client_secret="x")
        with pytest.raises(TypeError, match="include_client_id"):
            iris.fetch_token(include_client_id=True)
