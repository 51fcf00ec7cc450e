"""The pytest plugin, as the tests of a user's project see it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections import Counter
from xml.etree import ElementTree

import pytest

pytest_plugins = ["pytester"]

#: Packages that a test run must not load unless a test uses the fixtures.
HEAVY = ("requests", "urllib3", "oauthlib", "trustme", "werkzeug", "cryptography", "click", "rich")


@pytest.fixture
def run(pytester: pytest.Pytester):
    """Runs pytest as a user does, in a process of its own, with our plugin only."""

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


def test_plugin_loads_nothing_heavy_while_no_test_uses_it(run) -> None:
    result = run(
        f"""
        import sys

        def test_nothing(request):
            assert "requests_iris.testing" in sys.modules
            assert not [name for name in {HEAVY} if name in sys.modules]
        """
    )
    result.assert_outcomes(passed=1)


#: Variables of a developer, for all files of tests below. The plugin must use none of them.
DEVELOPER = {
    "TRACKUNIT_USERNAME": "a real user",
    "TRACKUNIT_SCOPE": "real",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "example.org",
}
#: Files of tests that pass, by their promises, with the number of tests.
FILES = {
    "a_session_made_by_the_code_under_test_is_signed_in": (
        1,
        """
        from requests_iris import IrisSession

        def test_it(iris_sandbox):
            with IrisSession() as session:
                assets = session.get("/api/asset/v1/assets").json()
            assert assets["totalElements"] == len(iris_sandbox.asset_ids) == 250
            assert iris_sandbox.count("password") == 1
        """,
    ),
    "nothing_of_the_developers_environment_is_used": (
        1,
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
    ),
    "the_environment_is_as_before_after_the_test": (
        2,
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
    ),
    "each_test_has_a_sandbox_of_its_own": (
        2,
        """
        import pytest
        from requests_iris.sandbox import Fault

        @pytest.mark.parametrize("attempt", [1, 2])
        def test_it(attempt, iris_sandbox, iris_session):
            assert not iris_sandbox.seen
            assert not iris_session.token
            assert iris_session.get("/api/asset/v1/assets").ok
            iris_sandbox.inject(Fault(status=500), on="api")
        """,
    ),
    "the_session_and_the_test_share_one_sandbox": (
        1,
        """
        from requests_iris.sandbox import Fault

        def test_it(iris_session, iris_sandbox):
            assert iris_session.get("/api/asset/v1/assets").ok
            iris_sandbox.expire_access_tokens()
            assert iris_session.get("/api/asset/v1/assets").ok
            assert iris_sandbox.count("refresh_token") == 1
            iris_sandbox.inject(Fault(status=500, body="broken"), on="api")
            assert iris_session.get("/api/asset/v1/assets").status_code == 500
        """,
    ),
    "a_mark_says_how_the_sandbox_is_made": (
        1,
        """
        import pytest

        @pytest.mark.iris_sandbox(machines=3, token_lifetime=120)
        def test_it(iris_sandbox, iris_session):
            assert iris_session.get("/api/asset/v1/assets").json()["totalElements"] == 3
            assert iris_session.token["expires_in"] == 120
        """,
    ),
    "a_mark_can_set_the_assets_of_the_sandbox": (
        1,
        """
        import pytest

        @pytest.mark.iris_sandbox(assets=[{"name": "Digger"}])
        def test_it(iris_sandbox, iris_session):
            assert [asset["name"] for asset in iris_session.items("/api/asset/v1/assets")] == [
                "Digger"
            ]
        """,
    ),
    "a_token_expires_by_the_clock_of_the_sandbox": (
        1,
        """
        def test_it(iris_sandbox, iris_session):
            assert iris_session.get("/api/asset/v1/assets").ok
            iris_sandbox.clock.advance(3600)
            assert iris_session.get("/api/asset/v1/assets").ok
            assert iris_sandbox.count("api", status=401) == 1
        """,
    ),
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Counter[str], str]:
    """How many tests of each file pass, and the output. One process runs all files."""
    folder = tmp_path_factory.mktemp("files")
    for name, (_, source) in FILES.items():
        (folder / f"test_{name}.py").write_text(textwrap.dedent(source))
    environ = {**os.environ, **DEVELOPER, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    options = ("-p", "requests_iris.testing", "-p", "no:cacheprovider", "-W", "error")
    command = [sys.executable, "-m", "pytest", *options, "--strict-markers", "--junitxml=x.xml"]
    shown = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60
    )
    cases = ElementTree.parse(folder / "x.xml").iter("testcase")
    # a failure, an error and a skip are elements of a case
    passed = Counter(case.attrib["classname"] for case in cases if not len(case))
    return passed, shown.stdout


@pytest.mark.parametrize("name", FILES)
def test_tests_of_a_user_pass(ran: tuple[Counter[str], str], name: str) -> None:
    passed, output = ran
    assert passed[f"test_{name}"] == FILES[name][0], output


def test_a_wrong_argument_of_the_mark_is_an_error_that_lists_the_right_ones(run) -> None:
    words = {
        "machine=3": "does not know machine=. Its arguments are machines=, assets=, *clock=.",
        "machine=3, tokens=2": "does not know machine=, tokens=. Its arguments are machines=,*",
        "3": "does not know 3. Its arguments are machines=, assets=, token_lifetime=,*",
        "machines='3'": "has a wrong argument: machines must be a whole number, 0 or more, *",
        "token_lifetime=-1": "has a wrong argument: token_lifetime must be a number of seconds*",
        "machines=3, assets=[]": "has a wrong argument: Pass machines or assets, not both*",
    }
    tests = (
        f"@pytest.mark.iris_sandbox({arguments})\ndef test_{number}(iris_sandbox): pass\n"
        for number, arguments in enumerate(words)
    )
    result = run("import pytest\n" + "".join(tests))
    result.assert_outcomes(errors=len(words))
    result.stdout.fnmatch_lines([f"The mark iris_sandbox {each}" for each in words.values()])
    result.stdout.no_fnmatch_line("*Error*: *")


def test_a_session_from_before_the_sandbox_says_that_the_variables_came_too_late(run) -> None:
    result = run(
        """
        from requests_iris import IrisSession

        session = IrisSession()

        def test_it(iris_sandbox):
            session.get("/api/asset/v1/assets")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *MissingSettingError*when th* session was created*"])


@pytest.mark.parametrize("package", ["trustme", "werkzeug"])
def test_a_missing_extra_is_named_by_the_error(run, package: str) -> None:
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


def test_pytest_loads_the_plugin_by_its_entry_point(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, where coverage sees the lines of the plugin."""
    monkeypatch.setenv("TRACKUNIT_SCOPE", "real")
    pytester.makepyfile(
        """
        def test_it(iris_session, iris_sandbox):
            assert iris_session.get("/api/asset/v1/assets").ok
            assert iris_sandbox.seen[0].form["scope"] != "real"
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
