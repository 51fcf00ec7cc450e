"""Which URLs may see a token: pure functions of a URL."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from .errors import SettingError

# Every parser reads the same host out of a URL of this form. What it leaves out is what parsers
# disagree on, or what has another meaning: user:password@, a backslash, %2e, other alphabets.
_ORIGIN = re.compile(
    r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]+))?(?=[/?#]|\Z)", re.ASCII | re.IGNORECASE
)
_DEFAULT_PORTS = {"https": "443", "http": "80"}


def may_see_token(url: str, origins: frozenset[str]) -> bool:
    """Whether a request to `url` goes safely to one of the `origins` of :func:`origins_of`."""
    end = url.find("/", len("https://"))
    if end > 0 and url[:end] in origins:  # the form that requests gives to nearly all URLs
        return True
    match = _ORIGIN.match(url)
    return match is not None and match[0].lower() in origins


def is_plain_http(url: str) -> bool:
    """Whether a request to `url` can be read on its way: then that must not lead off the machine.

    A loopback address is all that may see secrets in clear, and a proxy would see them too.
    """
    return url[:5].lower() == "http:"


def origins_of(hosts: Iterable[str], *, setting: str = "allowed_hosts") -> frozenset[str]:
    """The origins meant by hosts such as ``example.org``, ``example.org:8443``, ``http://127.0.0.1:80``.

    Without a scheme, https is meant. A default port is there in both spellings.

    :raises SettingError: for an entry that is no host, or one that would be reached without TLS.
    """
    if isinstance(hosts, (str, bytes)) or not isinstance(hosts, Iterable):
        hosts = [hosts]
    return frozenset(origin for host in hosts for origin in _spellings(_with_scheme(host), setting))


def check_url(url: str, *, setting: str) -> str:
    """`url` as it is, if secrets may travel to it.

    :raises SettingError: if it has no host, or is not https; plain http is accepted for a
        loopback address only (RFC 6749 sections 1.6 and 3.2).
    """
    _spellings(url, setting)
    return url


def _with_scheme(host: str) -> str:
    return f"https://{host}" if isinstance(host, str) and "://" not in host else host


def _spellings(url: str, setting: str) -> set[str]:
    match = _ORIGIN.match(url) if isinstance(url, str) else None
    if match is None:
        raise SettingError(
            f"{setting} must name a plain host, as https://example.org does, not {_shown(url)}",
            setting=setting,
        )
    scheme, name, port = match[1].lower(), match[2].lower(), match[3]
    if scheme == "http" and not _is_loopback(name):
        raise SettingError(
            f"{setting} must begin with https:// ({_shown(url)} would send secrets in clear; "
            "only a loopback address such as http://127.0.0.1:8080 may do that)",
            setting=setting,
        )
    default = _DEFAULT_PORTS[scheme]
    ports = ["", f":{default}"] if port in (None, default) else [f":{port}"]
    return {f"{scheme}://{name}{suffix}" for suffix in ports}


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _shown(url: object) -> str:
    """A URL for a message: without what stands before an @, which may be a password."""
    if not isinstance(url, str):
        return type(url).__name__
    return repr(re.sub(r".*@", "...@", url, flags=re.DOTALL))
