"""requests-toolbelt: multipart uploads, a base URL, dumps, a pool of threads."""

from __future__ import annotations

import io

import pytest
import requests
from requests_toolbelt import MultipartEncoder, MultipartEncoderMonitor, threaded
from requests_toolbelt.sessions import BaseUrlSession
from requests_toolbelt.utils import dump

from requests_iris import IrisSession

ECHO = "/echo"


@pytest.fixture
def upload() -> MultipartEncoder:
    return MultipartEncoder({"name": "x", "file": ("a.txt", io.BytesIO(b"a" * 100), "text/plain")})


def test_a_multipart_body_arrives_whole(iris, sandbox, upload) -> None:
    iris.post(ECHO, data=upload, headers={"Content-Type": upload.content_type})
    assert sandbox.seen[-1].body.count(b"a" * 100) == 1
    assert sandbox.seen[-1].headers["Content-Type"] == upload.content_type


def test_a_multipart_body_cannot_be_sent_again_after_a_401(iris, sandbox, upload) -> None:
    """An encoder knows no way back: the caller gets the 401, and the next request a new token."""
    iris.get(ECHO)
    sandbox.expire_access_tokens()
    headers = {"Content-Type": upload.content_type}
    assert iris.post(ECHO, data=upload, headers=headers).status_code == 401
    assert iris.get(ECHO).ok
    assert sandbox.count("api", 401) == 1


def test_a_monitored_multipart_body_reports_its_progress(iris, upload) -> None:
    steps: list[int] = []
    monitor = MultipartEncoderMonitor(upload, lambda m: steps.append(m.bytes_read))
    iris.post(ECHO, data=monitor, headers={"Content-Type": monitor.content_type})
    assert steps[-1] == upload.len


class OursFirst(IrisSession, BaseUrlSession):
    """Both have a `base_url`."""


class OursSecond(BaseUrlSession, IrisSession):
    """BaseUrlSession takes no argument but `base_url`."""

    def __init__(self, **settings) -> None:
        IrisSession.__init__(self, **settings)


@pytest.mark.parametrize("kind", [OursFirst, OursSecond])
@pytest.mark.parametrize("prepared", [False, True])
def test_a_base_url_session_joins_relative_urls(
    sandbox, monkeypatch, tmp_path, kind, prepared
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    base_url = f"{sandbox.base_url}/api/"
    with kind(**{**sandbox.settings, "base_url": base_url}) as session:
        session.verify = sandbox.ca_file
        assert session.base_url == base_url
        request = requests.Request("GET", "asset/v1/assets")
        response = (
            session.send(session.prepare_request(request)) if prepared else session.get(request.url)
        )
        assert response.url == f"{base_url}asset/v1/assets"
        assert response.json()["totalElements"] == 250
    assert sandbox.count("password") == 1


def test_the_base_url_of_a_base_url_session_is_that_of_iris_session_too(
    sandbox, monkeypatch
) -> None:
    """BaseUrlSession keeps the argument, and hands no argument on."""

    class Both(BaseUrlSession, IrisSession):
        pass

    for name, value in sandbox.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TRACKUNIT_BASE_URL", "https://elsewhere.example")
    with Both(f"{sandbox.base_url}/api/") as session:
        session.verify = sandbox.ca_file
        assert session.base_url == f"{sandbox.base_url}/api/"
        assert session.get("asset/v1/assets").json()["totalElements"] == 250


def test_a_path_with_a_slash_is_joined_to_base_url_if_iris_session_comes_first(sandbox) -> None:
    with OursFirst(**{**sandbox.settings, "base_url": f"{sandbox.base_url}/api/"}) as session:
        session.verify = sandbox.ca_file
        assert session.get("/asset/v1/assets").json()["totalElements"] == 250


def test_a_pool_of_threads_shares_one_sign_in(iris, sandbox) -> None:
    url = sandbox.base_url + "/api/asset/v1/assets"
    pool = threaded.pool.Pool.from_urls([url] * 8, num_processes=4, session=lambda: iris)
    pool.join_all()
    assert [r.status_code for r in pool.responses()] == [200] * 8
    assert sandbox.count("password") == 1


def test_a_dump_shows_the_request_as_it_was_sent(iris) -> None:
    """A dump contains the token, so keep a dump as secret as the session."""
    reply = iris.get(ECHO)
    assert f"Bearer {iris.access_token}".encode() in bytes(dump.dump_all(reply))
