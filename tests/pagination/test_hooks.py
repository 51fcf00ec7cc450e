"""Hooks on responses see each page."""

from __future__ import annotations

import itertools

import pytest

from requests_iris import IncompleteListError
from requests_iris.sandbox import Fault

from ..support.paths import ASSETS
from .lists import ids, the_whole, walkers


class TestHooks:
    """The caller's are called once a page, by whatever thread has read it."""

    @pytest.mark.parametrize("workers", [1, 8])
    @pytest.mark.parametrize("of_session", [False, True])
    def test_a_hook_sees_each_page_once_and_no_401(
        self, sandbox, iris, style, workers, of_session
    ) -> None:
        seen: list[int] = []
        url, arguments, name = style
        hooks = {"response": [lambda response, **_: seen.append(response.status_code)]}
        if of_session:
            iris.hooks = hooks
        else:
            arguments = {**arguments, "hooks": hooks}
        sandbox.inject(Fault(), on="api")
        sandbox.inject(Fault(status=401), on="api")
        assert ids(iris.items(url, max_workers=workers, **arguments)) == ids(the_whole(name))
        assert sandbox.count("api", 401) > 0
        assert seen == [200] * sandbox.count("api", 200)

    @pytest.mark.parametrize(("status", "retryable"), [(404, False), (500, True)])
    @pytest.mark.parametrize("workers", [1, 8])
    def test_a_hook_that_raises_for_a_status_gives_a_list_error(
        self, sandbox, iris, workers, status, retryable
    ) -> None:
        hooks = {"response": lambda response, **_: response.raise_for_status()}
        sandbox.inject(Fault(), on="api")
        sandbox.inject(Fault(status=status), on="api", times=100)
        with pytest.raises(IncompleteListError, match=f"HTTPError: {status}") as caught:
            list(iris.items(ASSETS, params={"size": 10}, max_workers=workers, hooks=hooks))
        assert caught.value.response.status_code == status
        assert caught.value.retryable is retryable
        assert caught.value.resume["page"] == 1

    @pytest.mark.parametrize("workers", [1, 8])
    def test_a_hook_that_fails_ends_the_list_with_its_own_error(self, iris, workers) -> None:
        def fail(response, **_) -> None:
            if response.json()["number"] == 2:
                raise LookupError("mine")

        walk = iris.items(
            ASSETS, params={"size": 10}, max_workers=workers, hooks={"response": fail}
        )
        assert len(list(itertools.islice(walk, 20))) == 20
        with pytest.raises(LookupError, match="mine"):
            next(walk)
        assert walkers() == []
