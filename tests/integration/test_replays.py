"""A replay whose renewal fails."""

from __future__ import annotations

import pytest

from requests_iris import IrisSession, TokenReplyError
from requests_iris.sandbox import Fault, Sandbox


def test_it_gives_the_connection_of_the_401_back(iris: IrisSession, sandbox: Sandbox) -> None:
    iris.get("/echo")
    sandbox.revoke_access_tokens()
    sandbox.inject(Fault(status=404), on="token")
    with pytest.raises(TokenReplyError):
        iris.get("/echo")
    assert iris.get("/echo").ok
    assert len({seen.connection_id for seen in sandbox.seen if seen.server == "api"}) == 1
