"""The public names: each name can be imported, and is loaded at its first use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import requests_iris


def python(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


#: Public names of objects without a ``__name__``.
UNNAMED = {"DEFAULT_RETRY", "IRIS_RATE_LIMITS", "Progress", "Updater"}


def test_each_public_name_can_be_imported() -> None:
    found: dict[str, object] = {}
    exec("from requests_iris import *", found)
    assert {*found} - {"__builtins__"} == {*requests_iris.__all__}
    named = {*requests_iris.__all__} - UNNAMED
    assert all(found[name].__name__ == name for name in named)


def test_the_default_retry_is_the_policy_of_a_session() -> None:
    assert requests_iris.IrisSession().retry is requests_iris.DEFAULT_RETRY


def test_every_error_is_public() -> None:
    from requests_iris import errors

    public = {name for name, kind in vars(errors).items() if name.endswith("Error")}
    assert public <= {*requests_iris.__all__}


def test_dir_shows_the_public_names_before_they_are_loaded() -> None:
    assert "IrisSession" in python("import requests_iris; print(dir(requests_iris))")
    assert {*requests_iris.__all__} <= {*dir(requests_iris)}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'requests_iris' has no attribute 'IrisSesion'"):
        _ = requests_iris.IrisSesion
    with pytest.raises(ImportError, match="cannot import name 'IrisSesion'"):
        exec("from requests_iris import IrisSesion")


def test_a_public_name_is_the_object_of_its_module_each_time() -> None:
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
