"""The blocks of the manual that need a large library."""

from __future__ import annotations

import pytest

from ..support.iris_hosts import iris_hosts
from ..support.pages import DOCS, Reader, blocks

PAGE = DOCS / "howto" / "pipelines.rst"


@pytest.fixture
def names_of(monkeypatch: pytest.MonkeyPatch, tmp_path):
    """Types the blocks of a section. Returns the names that the blocks define, and the sandbox."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    with iris_hosts(monkeypatch) as sandbox, Reader(PAGE, sandbox) as reader:

        def names_of(section: str):
            (block,) = blocks(PAGE, section)
            reader.type(block)
            return reader.names, sandbox

        yield names_of


def test_the_block_for_dlt_loads_every_machine(names_of) -> None:
    names, sandbox = names_of("dlt")
    with names["pipeline"].sql_client() as client:
        rows = client.execute_sql("SELECT id FROM assets")
    assert sorted(row[0] for row in rows) == sorted(sandbox.asset_ids)


def test_the_block_for_pandas_makes_a_frame_of_every_machine(names_of) -> None:
    names, sandbox = names_of("pandas")
    assert tuple(names["frame"]["id"]) == sandbox.asset_ids
