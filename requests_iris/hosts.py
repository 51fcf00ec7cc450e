"""Which hosts are allowed, and how a path is joined to `base_url`: pure functions of a URL."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from .errors import SettingError
from .text import one_line

# All URL parsers find the same host in a URL of this form. Parsers disagree on other forms, or the
# forms mean another host: user:password@, a backslash, %2e, other alphabets.
_ORIGIN = re.compile(
    r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]+))?(?=[/?#]|\Z)", re.ASCII | re.IGNORECASE
)
_DEFAULT_PORTS = {"https": "443", "http": "80"}


def may_see_token(url: str, origins: frozenset[str]) -> bool:
    """Whether `url` leads to an allowed host for every URL parser.

    :param origins: the allowed hosts, from :func:`origins_of`.
    """
    end = url.find("/", len("https://"))
    if end > 0 and url[:end] in origins:  # the form that requests gives to nearly all URLs
        return True
    match = _ORIGIN.match(url)
    return match is not None and match[0].lower() in origins


def is_plain_http(url: str) -> bool:
    """Whether a request to `url` travels without TLS.

    Plain HTTP may carry a secret only to a loopback address and without a proxy.
    """
    return url[:5].lower() == "http:"


def origins_of(hosts: Iterable[str], *, setting: str = "allowed_hosts") -> frozenset[str]:
    """The origins of hosts such as ``example.org``, ``example.org:8443``, ``http://127.0.0.1:80``.

    A host without a scheme means HTTPS. A host with the default port is in the result in both
    spellings, with and without the port: :func:`may_see_token` compares text.

    :param hosts: hosts or URLs; one host needs no list. An empty list allows no host.
    :raises SettingError: if an entry is not a host, or needs plain HTTP and is not a loopback
        address.
    """
    if isinstance(hosts, (str, bytes)) or not isinstance(hosts, Iterable):
        hosts = [hosts]
    return frozenset(origin for host in hosts for origin in _spellings(_with_scheme(host), setting))


def check_url(url: str, *, setting: str) -> str:
    """Returns `url` unchanged, if secrets may travel to the URL.

    :raises SettingError: if the URL has no host or is not HTTPS. Plain HTTP is accepted for a
        loopback address only (RFC 6749 sections 1.6 and 3.2).
    """
    _spellings(url, setting)
    return url


def joined(base_url: str | None, url: Any) -> Any:
    """Joins a path to `base_url` with exactly one slash.

    :param url: a URL as for requests: text, bytes, or an object with a ``str()``.
    :return: the whole URL as text if `url` starts with one slash. Otherwise `url` unchanged.
    """
    text = _text(url).lstrip()  # as requests does
    if not text.startswith("/") or text.startswith("//") or base_url is None:
        return url
    return _text(base_url).rstrip("/") + text


def why_incomplete(url: Any) -> str:
    """The message for a URL without a scheme."""
    text = _text(url).lstrip()
    shown = _shown(text)
    if text.startswith("/"):
        return f"Invalid URL {shown}: start a path with one slash, and base_url with https://"
    path = _shown("/" + text)
    return f"Invalid URL {shown}: start the path with one slash ({path}), or the URL with https://"


def why_not_allowed(url: str, origins: frozenset[str]) -> str:
    """The reason why the host of `url` is another host. An empty text for an allowed host."""
    if may_see_token(url, origins):
        return ""
    scheme, name, port = _parts(url)
    allowed = sorted(each for each in map(_parts, origins) if each[1] == name)
    if any(each[0] == scheme for each in allowed):
        ports = " and ".join(dict.fromkeys(each[2] for each in allowed if each[0] == scheme))
        return f"allowed_hosts has {name} with port {ports}, and not with port {port}"
    if allowed:
        return f"allowed_hosts has {name} with {allowed[0][0]}, and not with {scheme}"
    return f"{name or 'the host'} is not in allowed_hosts"


def host_of(url: str) -> str:
    """The host and port of `url` for a message."""
    _, name, port = _parts(url)
    return f"{name}:{port}" if port else name or "the host"


def _parts(url: str) -> tuple[str, str, str]:
    """Scheme, host name and port of a URL for a message. Empty texts for a malformed URL."""
    with suppress(ValueError):
        parts = urlsplit(url)
        port = str(parts.port or _DEFAULT_PORTS.get(parts.scheme, ""))
        return one_line(parts.scheme), one_line(parts.hostname or ""), port
    return "", "", ""


def _text(url: Any) -> str:
    return url.decode("utf-8", "replace") if isinstance(url, bytes) else str(url)


def _with_scheme(host: str) -> str:
    return f"https://{host}" if isinstance(host, str) and "://" not in host else host


def _spellings(url: str, setting: str) -> set[str]:
    match = _ORIGIN.match(url) if isinstance(url, str) else None
    if match is None:
        raise SettingError(_why_not_a_host(url, setting), setting=setting)
    scheme, name, port = match[1].lower(), match[2].lower(), match[3]
    if scheme == "http" and not _is_loopback(name):
        raise SettingError(
            f"{setting} must begin with https://: {_shown(url)} would send secrets in clear text. "
            "Only a loopback address such as http://127.0.0.1:8080 may do without TLS",
            setting=setting,
        )
    default = _DEFAULT_PORTS[scheme]
    ports = ["", f":{default}"] if port in (None, default) else [f":{port}"]
    return {f"{scheme}://{name}{suffix}" for suffix in ports}


def _why_not_a_host(url: object, setting: str) -> str:
    if isinstance(url, str) and _ORIGIN.match(f"https://{url}"):
        return f"{setting} must begin with https://: https:// is missing before {_shown(url)}"
    return f"{setting} must name a plain host, as https://example.org does, not {_shown(url)}"


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _shown(url: object) -> str:
    """A URL for a message, without query, fragment, user and password.

    The text before the last @ is removed: a malformed URL may contain a password anywhere.
    """
    if not isinstance(url, str):
        return type(url).__name__
    return repr(one_line(re.sub(r".*@|[?#].*", _hidden, url, flags=re.DOTALL)))


def _hidden(match: re.Match[str]) -> str:
    return "...@" if match[0].endswith("@") else ""
