"""`requests-iris get`: the method, the body and the GraphQL query of a request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from requests_iris.cli import main
from requests_iris.sandbox import Fault, Sandbox

from .run import run

EVENTS = "/public/api/eventlog/v3/asset-event/log"
QUERY = """query ($first: Int, $after: String) {  # one page
  assets(first: $first, after: $after) {
    edges { node { id name } } pageInfo { hasNextPage endCursor }
  }
}"""


@pytest.fixture(autouse=True)
def account(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    """The sandbox, with its settings in the environment, and an empty working directory."""
    for name, value in sandbox.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return sandbox


def get(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["get", *arguments], input=stdin)


def told(result: Result) -> str:
    """The line on standard error. Exit status and absence of a traceback are checked."""
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    return " ".join(result.stderr.split())


class TestBody:
    BODY = '{"fromTime": "2025-01-01T00:00:00Z", "toTime": "2025-02-01T00:00:00Z"}'

    @pytest.mark.parametrize("source", ["text", "file", "UTF-16 file", "standard input"])
    @pytest.mark.parametrize("options", [[], ["--all"]], ids=["one response", "list"])
    def test_json_of_every_source_is_the_body_of_a_post(
        self, account: Sandbox, source: str, options: list[str]
    ) -> None:
        encoding = "utf-16" if source == "UTF-16 file" else "utf-8-sig"
        Path("body.json").write_text(self.BODY, encoding)
        value = {"text": self.BODY, "standard input": "@-"}.get(source, "@body.json")
        result = get(EVENTS, *options, "--json", value, "-p", "size=1000", stdin=self.BODY)
        assert result.exit_code == 0, result.stderr
        (request,) = [each for each in account.seen if each.path == EVENTS]
        assert (request.method, request.query) == ("POST", "size=1000")
        assert json.loads(request.body) == json.loads(self.BODY)
        assert result.stdout

    def test_post_without_a_body_is_sent_as_requests_sends_the_post(self, account: Sandbox) -> None:
        assert get("/echo", "--method", "post").exit_code == 0
        assert [each.method for each in account.seen if each.path == "/echo"] == ["POST"]

    @pytest.mark.parametrize("options", [[], ["--all"]], ids=["one response", "list"])
    def test_post_of_this_command_is_retried_because_it_reads(
        self, account: Sandbox, options: list[str]
    ) -> None:
        account.inject(Fault(status=503, headers={"Retry-After": "0"}), on="api")
        assert get(EVENTS, *options, "--json", self.BODY).exit_code == 0
        assert account.count("api") == 2

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b'{\n"a": tru}', "body.json, line 2, column 6: "),
            (b"", "body.json, line 1, column 1: "),
            (b"\xff\xfe\xff", "body.json, this is not JSON"),
            (b'{"a": NaN}', "body.json, a number that JSON cannot hold"),
            (b'{"a": [1e999]}', "the JSON has at 'a[0]' NaN or a number beyond"),
            (b"[" + 5000 * b"9" + b"]", "body.json, a number that JSON cannot hold"),
            (100_000 * b"[", "body.json, this is not JSON"),
            (b"5", "the body must be a JSON object or array"),
            (b"null", "the body must be a JSON object or array"),
        ],
        ids=["word", "empty", "bytes", "NaN", "1e999", "digits", "depth", "number", "null"],
    )
    def test_wrong_json_is_one_line_with_its_place(
        self, account: Sandbox, content: bytes, words: str
    ) -> None:
        Path("body.json").write_bytes(content)
        assert words in told(get(EVENTS, "--json", "@body.json"))
        if content != b"":  # standard input is a body, too
            place = words.replace("body.json", "standard input")
            assert place in told(get(EVENTS, "--all", "--json", "@-", stdin=content))
        assert account.seen == ()

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--json", '{"a" 1}'], "the text, line 1, column 6: "),
            (["--json", "x.json"], "To read a file, write @ before its name: @x.json"),
            (["--json", "@no.json"], "no.json: No such file or directory"),
            (["--json", "@."], ".: Is a directory"),
            (["--json", "@"], "No such file or directory"),
            (["--json", "{}", "--method", "GET"], "--json sends a POST. Leave out --method GET"),
            (["--json", "{}", "--graphql", "-"], "--graphql sends a body of its own"),
            (["--graphql", "-", "--method", "get"], "--graphql sends a POST"),
            (["--method", "DELETE"], "'DELETE' is not one of"),
        ],
    )
    def test_arguments_that_make_no_request_are_refused_in_one_line(
        self, account: Sandbox, arguments: list[str], words: str
    ) -> None:
        assert words in told(get(EVENTS, *arguments))
        assert account.seen == ()

    def test_a_message_about_wrong_json_does_not_show_the_json(self) -> None:
        """A body may have private parts, and the line goes into logs."""
        assert "hush" not in get(EVENTS, "--json", '{"pin": "hush" 1}').output

    @pytest.mark.parametrize("option", [["--json", "@-"], ["--graphql", "-"]])
    def test_closed_standard_input_is_one_line_and_status_2(self, option: list[str]) -> None:
        result = run("get", EVENTS, *option, stdin=None)
        assert result.returncode == 2
        assert "standard input: this stream is closed" in result.stderr
        assert len(result.stderr.splitlines()) == 1


class TestGraphQL:
    @pytest.fixture(autouse=True)
    def _file(self) -> None:
        Path("query.graphql").write_text(QUERY, "utf-8")

    def sent(self, account: Sandbox) -> list[dict]:
        requests = [each for each in account.seen if each.path == "/api/graphql/"]
        assert {each.method for each in requests} <= {"POST"}
        assert {each.query for each in requests} <= {""}
        return [json.loads(each.body) for each in requests]

    def test_list_of_a_query_is_read_whole_with_the_given_page_size(self, account: Sandbox) -> None:
        result = get("--all", "--graphql", "query.graphql", "-p", "first=50", "-o", "x.json")
        assert (result.exit_code, result.output) == (0, "250 items in x.json\n")
        ids = [item["id"] for item in json.loads(Path("x.json").read_text("utf-8"))]
        assert tuple(ids) == account.asset_ids
        sent = self.sent(account)
        assert [each["variables"]["first"] for each in sent] == 5 * [50]
        assert {each["query"] for each in sent} == {QUERY}

    @pytest.mark.parametrize(("name", "stdin"), [("query.graphql", None), ("-", QUERY)])
    def test_one_response_of_a_query_is_printed(
        self, account: Sandbox, name: str, stdin: str | None
    ) -> None:
        result = get("--graphql", name, "-p", "first=2", stdin=stdin)
        assert result.exit_code == 0, result.stderr
        edges = json.loads(result.stdout)["data"]["assets"]["edges"]
        assert [edge["node"]["id"] for edge in edges] == list(account.asset_ids[:2])
        assert self.sent(account) == [{"query": QUERY, "variables": {"first": 2}}]

    def test_url_of_the_command_line_wins_over_the_endpoint_of_iris(self, account: Sandbox) -> None:
        get("/echo", "--graphql", "query.graphql")
        assert [each.path for each in account.seen[1:]] == ["/echo"]

    def test_errors_in_a_response_are_one_line_even_beside_data(self, account: Sandbox) -> None:
        body = {"data": {"assets": None}, "errors": [{"message": "no\x1b right"}, {"code": 7}]}
        account.inject(Fault(status=200, body=body), on="api")
        result = get("--graphql", "query.graphql", "-o", "x.json")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == (
            "Error: GraphQL answered with errors: no\\x1b right; {'code': 7}\n"
        )
        assert not Path("x.json").exists()

    TYPES = """# $no: Int
        query Q($i: Int! = 3, $f: Float, $b: Boolean!, $s: String = "$x: Int", $id: ID,
                $at: DateTime, $kind: Kind!, $filter: [Filter!], $ids: [ID!]!, $ns: [Int]) {
          assets(first: $i, after: $s) { id } }"""

    @pytest.mark.parametrize(
        ("params", "value"),
        [
            (["i=50"], 50),
            (["i=-5"], -5),
            (["i=null"], None),
            (["f=5"], 5),
            (["f=-2.5e3"], -2500.0),
            (["b=true"], True),
            (["b=false"], False),
            (["s=50"], "50"),
            (["s=null"], "null"),
            (["s="], ""),
            (['s={"a": 1}'], '{"a": 1}'),
            (["id=007"], "007"),
            (["at=2025-01-01T00:00:00Z"], "2025-01-01T00:00:00Z"),
            (["at=null"], None),
            (["kind=EXCAVATOR"], "EXCAVATOR"),
            (['filter={"a": [1]}'], [{"a": [1]}]),
            (['filter=[{"a": 1}]'], [{"a": 1}]),
            (["ids=a"], ["a"]),
            (["ids=a", "ids=7"], ["a", "7"]),
            (["ns=[1, 2]"], [1, 2]),
        ],
        ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
    )
    def test_value_of_a_variable_has_the_declared_type(
        self, account: Sandbox, params: list[str], value: object
    ) -> None:
        Path("q").write_text(self.TYPES, "utf-8")
        result = get("/api/graphql/", "--graphql", "q", *(x for p in params for x in ("-p", p)))
        assert isinstance(result.exception, SystemExit)
        (body,) = self.sent(account)
        (given,) = body["variables"].values()
        assert (given, type(given)) == (value, type(value))

    @pytest.mark.parametrize(
        ("param", "words"),
        [
            ("first=50", "the query does not declare $first. The query declares $i, $f, $b, $s"),
            ("no=1", "does not declare $no"),
            ("x=1", "does not declare $x"),
            ("i=abc", "i='abc': $i is of the type Int"),
            ("i=1.5", "$i is of the type Int"),
            ("f=1e999", "$f is of the type Float"),
            ("f=01", "$f is of the type Float"),
            ("ns=x", "$ns is of the type Int"),
            ("b=yes", "$b is of the type Boolean"),
            ('filter={"a" 1}', "-p filter: the text, line 1, column 6: "),
            ("i", "'i' is not NAME=VALUE"),
        ],
    )
    def test_value_that_the_type_excludes_is_refused_before_a_request(
        self, account: Sandbox, param: str, words: str
    ) -> None:
        Path("q").write_text(self.TYPES, "utf-8")
        assert words in told(get("--all", "--graphql", "q", "-p", param))
        assert account.seen == ()

    def test_second_value_of_a_variable_that_is_no_list_is_refused(self) -> None:
        line = told(get("--graphql", "query.graphql", "-p", "first=1", "-p", "first=2"))
        assert "first has 2 values, and $first is not a list" in line

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (None, "q: No such file or directory"),
            (b" \n", "q is empty"),
            (b"\xff{", "q is not UTF-8"),
        ],
    )
    def test_graphql_file_without_a_query_is_one_line(
        self, content: bytes | None, words: str
    ) -> None:
        if content is not None:
            Path("q").write_bytes(content)
        assert words in told(get("--graphql", "q"))
