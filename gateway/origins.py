"""Addresses and origins: the gateway's own, this machine's, and those of foreign web pages."""

import re
from collections.abc import Collection
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import Scope

from gateway.errors import BadInput, Forbidden, shown
from gateway.headers import request_headers
from gateway.settings import Settings

TARGET = "gateway.target"
"""The key in a request's scope of its target, in bytes, where the server was sent a whole URL."""
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+;=-]*)(:[0-9]*)?", re.ASCII)


def authority(scope: Scope) -> str | None:
    """Return the host, perhaps with a port, that a request is addressed to; None: it doesn't say.

    A target that is a whole URL counts more than `Host`. Raises BadInput for several `Host` lines,
    of which a proxy may have read another one, and for what can't be a host.
    """
    return _check_host(scope.get(TARGET), request_headers(scope).get("host"))


@lru_cache(maxsize=256)
def _check_host(target: bytes | None, host: str | None) -> str | None:
    if host is not None and not _HOST.fullmatch(host):
        raise BadInput(f"Host: {shown(host)} is not one host", field="Host")
    if target is None:
        return host
    try:
        # As the server has it, without a user's name.
        whole = urlsplit(target.decode("latin-1")).netloc.rpartition("@")[2]
    except ValueError:
        whole = ""
    if not whole or not _HOST.fullmatch(whole):
        raise BadInput(f"the target {shown(target.decode('latin-1'))} names no host")
    return whole


def base_url(settings: Settings, request: Request) -> str:
    """Return the beginning of the gateway's addresses: `public_url`, else as the client came.

    It has no slash at its end.
    """
    return settings.public_url or _reached(request)


def own_origins(settings: Settings, request: Request) -> tuple[str, ...]:
    """Return the origins of the gateway's own pages: as the client came, and of `public_url`."""
    return (_origin(_reached(request)), *public_origins(settings))


def public_origins(settings: Settings) -> tuple[str, ...]:
    """Return the origin of `public_url`, if it is set."""
    return (_origin(settings.public_url),) if settings.public_url else ()


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Return True if a host, with or without a port, is a loopback address or `localhost`."""
    name = re.sub(r":\d+$", "", host) if "]" in host or host.count(":") == 1 else host
    name = name.removeprefix("[").removesuffix("]").lower()
    try:
        # Not by its beginning: 127.0.0.1.example.org is a name, and somebody else's.
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def refuse_foreign(
    host: str, origin: str | None, trusted: Collection[str] = (), *, any_host: bool = False
) -> None:
    """Return if no foreign web page can have made a browser on this machine send a request.

    Raises Forbidden for a `Host` that isn't loopback, unless `any_host`, and for an `Origin` of
    another site, unless it is one of `trusted` or, with `any_host`, that host's own.
    """
    if not any_host and not is_loopback(host):
        raise Forbidden(
            f"Host {shown(host)} is not loopback: set GATEWAY_AUTH, or pass --insecure-no-auth."
        )
    if origin is None or origin in trusted:
        return
    site = _site(origin)
    # By any scheme: a proxy in front may speak another one than the gateway does.
    if not is_loopback(site) and not (any_host and site == host):
        raise Forbidden(f"the origin {shown(origin)} is foreign, and nobody is authenticated")


def refuse_other_site(host: str, origin: str | None, trusted: Collection[str] = ()) -> None:
    """Return if a page is of a host's own site, or a trusted one; programs have no `origin`.

    Raises Forbidden for others.
    """
    # By any scheme: a proxy in front may speak another one than the gateway does.
    if origin is None or origin in trusted or "*" in trusted or _site(origin) == host:
        return
    raise Forbidden(f"the origin {shown(origin)} is foreign: GATEWAY_CORS_ORIGINS may have it")


def _site(origin: str) -> str:
    return re.sub(r"^https?://", "", origin)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _reached(request: Request) -> str:
    scope = request.scope
    server, root = scope.get("server"), scope.get("root_path", "")
    return _address(scope["scheme"], authority(scope), server and tuple(server), root)


@lru_cache(maxsize=256)
def _address(scheme: str, host: str | None, server: tuple[str, int] | None, root: str) -> str:
    # Starlette's own rules, which take some time.
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    scope = {"type": "http", "scheme": scheme, "headers": headers, "server": server}
    return str(Request({**scope, "root_path": root}).base_url).rstrip("/")
