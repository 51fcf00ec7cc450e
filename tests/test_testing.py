"""The pytest plugin, as the tests of a user's project see it."""

from __future__ import annotations

import pytest

from .support.readme import blocks_of

pytest_plugins = ["pytester"]

#: What must not be loaded by a test run that does not use the fixtures.
HEAVY = ("requests", "urllib3", "oauthlib", "trustme", "werkzeug", "cryptography", "click", "rich")


@pytest.fixture
def run(pytester: pytest.Pytester):
    """Runs pytest as a user does, with our plugin and no other, in a process of its own."""

    def run(source: str, *options: str, **variables: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            for name, value in variables.items():
                environment.setenv(name, value)
            return pytester.runpytest_subprocess(
                *("-p", "requests_iris.testing", "-W", "error", "--strict-markers", *options)
            )

    return run


def test_it_loads_nothing_heavy_while_it_is_not_used(run) -> None:
    result = run(
        f"""
        import sys

        def test_nothing(request):
            assert "requests_iris.testing" in sys.modules
            assert not [name for name in {HEAVY} if name in sys.modules]
        """
    )
    result.assert_outcomes(passed=1)


def test_a_session_made_by_the_code_under_test_is_signed_in(run) -> None:
    result = run(
        """
        from requests_iris import IrisSession

        def test_it(iris_sandbox):
            with IrisSession() as session:
                reply = session.get("/api/asset/v1/assets").json()
            assert reply["totalElements"] == len(iris_sandbox.asset_ids) == 250
            assert iris_sandbox.count("password") == 1
        """
    )
    result.assert_outcomes(passed=1)


def test_nothing_of_the_developers_environment_is_used(run) -> None:
    """Neither an account, nor a scope, nor a proxy."""
    result = run(
        """
        import os

        def test_it(iris_sandbox, iris_session):
            assert iris_session.get("/api/asset/v1/assets").ok
            form = iris_sandbox.seen[0].form
            assert (form["username"], form["scope"]) == (
                iris_sandbox.settings["username"],
                "api offline_access",
            )
            assert os.environ["no_proxy"] == "127.0.0.1,example.org"
        """,
        TRACKUNIT_USERNAME="a real user",
        TRACKUNIT_SCOPE="real",
        HTTPS_PROXY="http://127.0.0.1:9",
        NO_PROXY="example.org",
    )
    result.assert_outcomes(passed=1)


def test_the_environment_is_as_before_after_the_test(run) -> None:
    result = run(
        """
        import os

        BEFORE = dict(os.environ)

        def shown(environment):
            return {k: v for k, v in environment.items() if k != "PYTEST_CURRENT_TEST"}

        def test_with(iris_session):
            assert os.environ["TRACKUNIT_USERNAME"] != "a real user"

        def test_without():
            assert shown(os.environ) == shown(BEFORE)
        """,
        TRACKUNIT_USERNAME="a real user",
    )
    result.assert_outcomes(passed=2)


def test_each_test_has_a_sandbox_of_its_own(run) -> None:
    result = run(
        """
        import pytest
        from requests_iris.sandbox import Fault

        @pytest.mark.parametrize("attempt", [1, 2])
        def test_it(attempt, iris_sandbox, iris_session):
            assert not iris_sandbox.seen
            assert not iris_session.token
            assert iris_session.get("/api/asset/v1/assets").ok
            iris_sandbox.inject(Fault(status=500), on="api")
        """
    )
    result.assert_outcomes(passed=2)


def test_the_session_and_the_test_share_one_sandbox(run) -> None:
    result = run(
        """
        from requests_iris.sandbox import Fault

        def test_it(iris_session, iris_sandbox):
            assert iris_session.get("/api/asset/v1/assets").ok
            iris_sandbox.expire_access_tokens()
            assert iris_session.get("/api/asset/v1/assets").ok
            assert iris_sandbox.count("refresh_token") == 1
            iris_sandbox.inject(Fault(status=500, body="broken"), on="api")
            assert iris_session.get("/api/asset/v1/assets").status_code == 500
        """
    )
    result.assert_outcomes(passed=1)


def test_a_mark_says_how_the_sandbox_is_made(run) -> None:
    result = run(
        """
        import pytest

        @pytest.mark.iris_sandbox(machines=3, token_lifetime=120)
        def test_it(iris_sandbox, iris_session):
            assert iris_session.get("/api/asset/v1/assets").json()["totalElements"] == 3
            assert iris_session.token["expires_in"] == 120
        """
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("arguments", "words"), [("machine=3", "unexpected*'machine'"), ("3", "positional")]
)
def test_a_mark_that_no_sandbox_understands_is_an_error(run, arguments: str, words: str) -> None:
    result = run(
        f"""
        import pytest

        @pytest.mark.iris_sandbox({arguments})
        def test_it(iris_sandbox):
            pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"E * TypeError: *__init__() *{words}*"])


@pytest.mark.parametrize("package", ["trustme", "werkzeug"])
def test_without_the_extra_it_says_which(run, package: str) -> None:
    result = run(
        f"""
        import sys

        sys.modules[{package!r}] = None

        def test_it(iris_session):
            pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f'*needs {package}: pip install "requests-iris[[]sandbox]"'])


def test_the_fixtures_and_the_mark_are_listed(run) -> None:
    result = run("", "--fixtures")
    result.stdout.fnmatch_lines(["iris_sandbox -- *testing.py:*", "*A local IRIS*"])
    result = run("", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.iris_sandbox(*settings): *"])


def test_the_example_of_the_readme_passes(run) -> None:
    (example,) = blocks_of("Testing without an account")
    result = run(example)
    result.assert_outcomes(passed=example.count("def test_"))


def test_pytest_loads_it_by_its_entry_point(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, too, so that its lines are run where coverage sees them."""
    monkeypatch.setenv("TRACKUNIT_SCOPE", "real")
    pytester.makepyfile(
        """
        def test_it(iris_session, iris_sandbox):
            assert iris_session.get("/api/asset/v1/assets").ok
            assert iris_sandbox.seen[0].form["scope"] != "real"
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
