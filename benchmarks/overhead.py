"""The cost of a signed request: CPU time of the client, without a network.

Each figure is the cost with IrisSession divided by the cost of the same request with a plain
requests.Session and a fixed Authorization header, or with another library. Lower is better. The
token is fresh.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import requests

from . import peers
from .canned import URL, Canned
from .figure import Figure
from .turns import take_turns

#: The largest cost, as a part of the cost of a plain session.
AT_MOST = 0.80


def signed_in(peer: peers.Peer) -> requests.Session:
    """A session of a peer with a fresh token, and no network."""
    session = peer(peers.ACCOUNT, peers.living_token())
    session.mount("https://", Canned())
    header = session.get(URL).request.headers["Authorization"]
    if header != "Bearer a-token":
        raise AssertionError(f"The session sends {header}")
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
