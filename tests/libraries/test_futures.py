"""requests-futures: requests in the background."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed

from requests_futures.sessions import FuturesSession

from requests_iris import IrisSession

ASSETS = "/api/asset/v1/assets"


def test_requests_futures_fetches_pages_side_by_side_with_one_sign_in(iris, sandbox) -> None:
    with FuturesSession(session=iris, max_workers=8) as futures:
        pending = [futures.get(ASSETS, params={"page": n, "size": 25}) for n in range(10)]
        found = [a["id"] for f in as_completed(pending) for a in f.result().json()["content"]]
    assert sorted(found) == sorted(sandbox.asset_ids)
    assert sandbox.count("token") == 1


def test_an_expired_token_is_renewed_once_for_all_futures(iris, sandbox) -> None:
    with FuturesSession(session=iris, max_workers=8) as futures:
        assert futures.get(ASSETS).result().ok
        sandbox.expire_access_tokens()
        assert all(f.result().ok for f in [futures.get(ASSETS) for _ in range(16)])
    assert sandbox.count("refresh_token") == 1


def test_a_class_of_both_sessions_signs_in_once(sandbox) -> None:
    class Both(FuturesSession, IrisSession):
        pass

    with ThreadPoolExecutor(4) as executor, Both(executor=executor, **sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        assert all(f.result().ok for f in [iris.get(ASSETS) for _ in range(8)])
    assert sandbox.count("token") == 1
