"""What one signed request costs the client, without a network.

An IrisSession with a token that lives, against the lightest way there is to send a token, a plain
requests.Session with a fixed Authorization header, and against its peers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import requests
from requests.adapters import BaseAdapter

from . import peers
from .figure import Figure
from .turns import take_turns

URL = "https://iris.trackunit.com/api/asset/v1/assets?size=100"
#: What one signed request may cost, as a part of what a plain session's costs.
AT_MOST = 0.95


class Canned(BaseAdapter):
    """Answers at once, with the least that is a response: what is left is the session's work."""

    def send(self, request: requests.PreparedRequest, **settings: object) -> requests.Response:
        response = requests.Response()
        response.status_code = 200
        response.request = request
        response.url = request.url or ""
        response._content = b"{}"
        return response

    def close(self) -> None:
        """Nothing is open."""


def signed_in(peer: peers.Peer) -> requests.Session:
    """A session of a peer with a token that lives, and no network."""
    session = peer(peers.ACCOUNT, peers.living_token())
    session.mount("https://", Canned())
    header = session.get(URL).request.headers["Authorization"]
    if header != "Bearer a-token":
        raise AssertionError(f"it sends {header}")
    return session


def measure(*, rounds: int = 100, calls: int = 200) -> Iterator[Figure]:
    sessions = {
        name: signed_in(peer) for name, peer in {**peers.ALL, peers.PLAIN: peers.plain}.items()
    }
    gets = {name: lambda session=session: session.get(URL) for name, session in sessions.items()}
    outcome = take_turns(gets, time.thread_time, rounds=rounds, calls=calls)
    for name in (peers.PLAIN, *peers.PEERS):
        yield Figure(
            name=f"one signed request, of {name}",
            value=outcome.ratio(peers.OURS, name),
            at_most=AT_MOST if name == peers.PLAIN else 1,
            details={each: f"{outcome.median(each) * 1e6:.0f} us" for each in (peers.OURS, name)},
        )
