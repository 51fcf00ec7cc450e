"""The public names: there for everybody who asks for them, and loaded for nobody else."""

from __future__ import annotations

import subprocess
import sys

import pytest

import requests_iris


def python(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_each_can_be_imported() -> None:
    found: dict[str, object] = {}
    exec("from requests_iris import *", found)
    assert {*found} - {"__builtins__"} == {*requests_iris.__all__}
    assert all(found[name].__name__ == name for name in requests_iris.__all__)


def test_every_error_is_public() -> None:
    from requests_iris import errors

    public = {name for name, kind in vars(errors).items() if name.endswith("Error")}
    assert public <= {*requests_iris.__all__}


def test_dir_shows_them_before_they_are_loaded() -> None:
    assert "IrisSession" in python("import requests_iris; print(dir(requests_iris))")
    assert {*requests_iris.__all__} <= {*dir(requests_iris)}


def test_any_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'requests_iris' has no attribute 'IrisSesion'"):
        _ = requests_iris.IrisSesion
    with pytest.raises(ImportError, match="cannot import name 'IrisSesion'"):
        exec("from requests_iris import IrisSesion")


def test_a_name_is_the_same_object_each_time_and_where_it_lives() -> None:
    from requests_iris.session import IrisSession

    assert requests_iris.IrisSession is requests_iris.IrisSession is IrisSession


def test_the_package_alone_loads_neither_requests_nor_oauthlib() -> None:
    loaded = python("import sys, requests_iris; print(*sys.modules)").split()
    assert "requests_iris" in loaded
    assert not {"requests", "oauthlib", "urllib3", "requests_iris.session"} & {*loaded}


def test_the_session_loads_no_extra() -> None:
    loaded = python(
        "import sys; from requests_iris import IrisSession; print(*sys.modules)"
    ).split()
    assert not {"trustme", "werkzeug", "cryptography", "click", "rich", "pytest"} & {*loaded}
