"""Random sequences of what can happen to a token; what must hold is checked after each step."""

from __future__ import annotations

import pickle

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from requests_iris import IrisError, IrisSession
from requests_iris.sandbox import Fault, Sandbox

from ..conftest import SkippingClock

FAULTS = [
    Fault(status=500),
    Fault(status=404),
    Fault(status=200, body="[1]"),
    Fault(drop="before"),
    Fault(drop="after"),
    Fault(truncate=20),
    Fault(expires_in=0),
    Fault(scope="api"),
]


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.lost = False
        self.sandbox = Sandbox().start()
        self.clock = SkippingClock()
        self._use(IrisSession(**self.sandbox.settings))
        self.iris.verify = self.sandbox.ca_file

    def _use(self, iris: IrisSession) -> None:
        iris._source._clock = iris._source._endpoint._clock = self.clock
        self.iris = iris

    def teardown(self) -> None:
        self.iris.close()
        self.sandbox.close()

    @rule()
    def request(self) -> None:
        assert self.iris.get("/echo").ok

    @rule(fault=st.sampled_from(FAULTS), times=st.integers(1, 7))
    def request_with_a_fault(self, fault: Fault, times: int) -> None:
        self.sandbox.forget()
        # from here on the server may have issued what never arrived
        self.lost = self.lost or not (fault.status or fault.drop == "before")
        self.sandbox.inject(fault, on="token", times=times)
        try:
            assert self.iris.get("/echo").ok
        except IrisError:
            assert self.sandbox.count("token") > 0
        self.sandbox.clear_faults()
        assert self.sandbox.count("token") <= 6

    @rule()
    def request_elsewhere(self) -> None:
        response = self.iris.get(self.sandbox.foreign_url + "/echo")
        assert "Authorization" not in response.request.headers

    @rule()
    def expire(self) -> None:
        self.clock.sleep(3600)
        self.sandbox.expire_access_tokens()

    @rule(seconds=st.sampled_from([40, 1000, 3000]))
    def pass_time(self, seconds: int) -> None:
        self.clock.sleep(seconds)

    @rule()
    def revoke(self) -> None:
        self.sandbox.revoke_access_tokens()

    @rule()
    def revoke_refresh_tokens(self) -> None:
        self.sandbox.revoke_refresh_tokens()

    @rule()
    def go_on_from_a_pickle(self) -> None:
        self.iris.close()
        self._use(pickle.loads(pickle.dumps(self.iris)))

    @invariant()
    def the_token_held_is_the_newest(self) -> None:
        held = self.iris.access_token
        assert self.lost or held is None or held == self.sandbox.issued[-1]

    @invariant()
    def no_refresh_token_is_used_twice(self) -> None:
        used = [
            seen.form["refresh_token"]
            for seen in self.sandbox.seen
            if seen.status == 200 and "refresh_token" in seen.form
        ]
        assert self.lost or len(used) == len(set(used))

    @invariant()
    def never_two_renewals_at_once(self) -> None:
        assert self.sandbox.max_concurrent_token_requests <= 1


TestLife = Life.TestCase
TestLife.settings = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=30,
    stateful_step_count=20,
    suppress_health_check=list(HealthCheck),
)
