"""Who a token belongs to: Keystone's word for it, kept for a while."""

import asyncio
import hashlib
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway.auth.identity import Headers, Identity
from gateway.errors import Unauthenticated, Unavailable
from gateway.settings import Settings

log = structlog.get_logger(__name__)

SERVICE_TYPE = "backup"
"""What the gateway is in Keystone's catalogue, and in the access rules of credentials."""

THREADS = 8
REFUSAL_SECONDS = 5
"""How long a token that Keystone doesn't know stays refused without asking again."""

_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a request shows: its user's token, and that of the service which passes it on."""

    user: str = field(repr=False)
    service: str | None = field(default=None, repr=False)

    @property
    def key(self) -> bytes:
        """What verdicts are remembered by: the tokens themselves are not kept."""
        return hashlib.sha256(f"{self.user}\n{self.service or ''}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Keystone says of tokens; no identity: they are not valid.

    `expires_at` is in seconds since 1970. What isn't `reusable` was found for one path and method.
    """

    identity: Identity | None
    expires_at: float = 0
    reusable: bool = True


Validate = Callable[[Tokens, str, str], Verdict]
"""Asks about tokens shown for a path and a method, blocking; raises Unavailable."""


class Remembered:
    """Verdicts, each until its time; of too many, those asked for the longest ago are forgotten."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._verdicts: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._verdicts)

    def get(self, key: bytes, now: float) -> Verdict | None:
        """The verdict on these tokens, or None."""
        found = self._verdicts.get(key)
        if found is None:
            return None
        if found[0] <= now:
            del self._verdicts[key]
            return None
        self._verdicts.move_to_end(key)
        return found[1]

    def put(self, key: bytes, verdict: Verdict, until: float) -> None:
        """Remember a verdict."""
        self._verdicts[key] = (until, verdict)
        self._verdicts.move_to_end(key)
        if len(self._verdicts) > self._size:
            self._verdicts.popitem(last=False)

    def forget(self, key: bytes) -> None:
        """Know nothing of these tokens any more."""
        self._verdicts.pop(key, None)


class KeystoneAuthenticator:
    """Asks Keystone about tokens it hasn't seen lately, in a worker thread, one question a token.

    A verdict is believed for `keystone_token_cache_time` at most and never past the tokens'
    expiry; a refusal for `REFUSAL_SECONDS`; one on a token with access rules not at all.
    """

    def __init__(
        self,
        settings: Settings,
        validate: Validate | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        shared, own = _cache_times(settings)
        self._validate = validate or Middleware(settings, cache_time=shared)
        self._clock = clock
        self._cache_time = own
        self.known = Remembered(settings.keystone_token_cache_size)
        # By themselves: guessed tokens must not push out those that are in use.
        self.refused = Remembered(settings.keystone_token_cache_size)
        self._asked: dict[bytes, asyncio.Task[Verdict]] = {}
        # Of their own: a Keystone that hangs must not take the threads of everything else.
        self._threads = ThreadPoolExecutor(THREADS, "keystone")
        # To log in and to ask, each perhaps twice, at the longest.
        self.patience = 4 * settings.keystone_timeout
        self._uri = settings.keystone_www_authenticate_uri or settings.keystone_auth_url

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:
        """Tell whose token this is.

        Raises Unauthenticated, with where to get a token, and Unavailable when Keystone doesn't
        answer.
        """
        tokens = _tokens(headers)
        if tokens is None:
            raise Unauthenticated("a token in X-Auth-Token is required", uri=self._uri)
        key, now = tokens.key, self._clock()
        verdict = self.known.get(key, now) or self.refused.get(key, now)
        if verdict is None:
            verdict = await self._ask(key, tokens, path, method)
        if verdict.identity is None:
            raise Unauthenticated("the token is not valid, or not for this", uri=self._uri)
        return verdict.identity

    def forget(self, headers: Headers) -> None:
        """Ask again about a token that was revoked; memcached may remember it longer."""
        tokens = _tokens(headers)
        if tokens is not None:
            self.known.forget(tokens.key)

    async def _ask(self, key: bytes, tokens: Tokens, path: str, method: str) -> Verdict:
        asked = self._asked.get(key)
        if asked is not None:
            verdict = await self._patiently(asked)
            if verdict.reusable:
                return verdict
            # The other request was for another path, so its answer says nothing about this one.
            return await self._patiently(self._start(key, tokens, path, method))
        asked = self._asked[key] = self._start(key, tokens, path, method)
        asked.add_done_callback(lambda _: self._asked.pop(key))
        return await self._patiently(asked)

    def _start(self, key: bytes, tokens: Tokens, path: str, method: str) -> asyncio.Task[Verdict]:
        asked = asyncio.create_task(self._find(key, tokens, path, method))
        # Where every caller has gone away, nobody else looks at what went wrong.
        asked.add_done_callback(lambda done: done.cancelled() or done.exception())
        return asked

    async def _patiently(self, asked: asyncio.Task[Verdict]) -> Verdict:
        # A caller that goes away doesn't take the answer from the others who wait for it.
        done, _ = await asyncio.wait({asked}, timeout=self.patience)
        if not done:
            raise Unavailable("Keystone doesn't answer")
        return asked.result()

    async def _find(self, key: bytes, tokens: Tokens, path: str, method: str) -> Verdict:
        since = self._clock()
        loop = asyncio.get_running_loop()
        verdict = await loop.run_in_executor(self._threads, self._validate, tokens, path, method)
        if verdict.reusable and verdict.identity is None:
            self.refused.put(key, verdict, since + REFUSAL_SECONDS)
        elif verdict.reusable:
            until = min(since + self._cache_time, verdict.expires_at)
            if until > self._clock():
                self.known.put(key, verdict, until)
        return verdict


class Middleware:
    """Validates tokens by keystonemiddleware's own code, outside of any WSGI application.

    Imports it when made: it takes a second, and local use doesn't need it.
    """

    def __init__(self, settings: Settings, *, cache_time: int) -> None:
        from keystonemiddleware import auth_token  # noqa: PLC0415 - slow
        from keystonemiddleware.auth_token import _request  # noqa: PLC0415
        from oslo_config import cfg  # noqa: PLC0415
        from webob import exc  # noqa: PLC0415

        # It quotes Keystone's answers, and those may quote tokens. What is worth knowing is
        # logged here.
        logging.getLogger("keystonemiddleware").setLevel(logging.CRITICAL + 1)
        config = cfg.ConfigOpts()
        config([], default_config_files=[], default_config_dirs=[])
        self._protocol = auth_token.AuthProtocol(
            None, {"oslo_config_config": config, **_options(settings, cache_time)}
        )
        self._request = _request._AuthTokenRequest  # noqa: SLF001 - the middleware's own kind
        self._refusal, self._outage = exc.HTTPUnauthorized, exc.HTTPServiceUnavailable

    def __call__(self, tokens: Tokens, path: str, method: str) -> Verdict:
        """Ask Keystone, or memcached where it is configured. Raises Unavailable."""
        headers = {"X-Auth-Token": tokens.user}
        if tokens.service:
            headers["X-Service-Token"] = tokens.service
        request = self._request.blank("/", headers=headers)
        request.method, request.path_info = method, path
        try:
            self._protocol.process_request(request)
        except self._refusal:
            # Keystone's own refusal holds for every request; that of a token it knows (past its
            # time, of another kind of access) only for this one.
            auth = request.token_auth
            return Verdict(None, reusable=auth is None or auth.user is None)
        except self._outage as error:
            raise _unavailable(error.__context__ or error, tokens) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, Keystone has not answered
            raise _unavailable(error, tokens) from None
        return _verdict(request.token_auth, request.token_info["token"])


def _tokens(headers: Headers) -> Tokens | None:
    user = (headers.get("x-auth-token") or "").strip()
    service = (headers.get("x-service-token") or "").strip() or None
    # Nothing else is a token, and some of it can't even be sent on in a header.
    if not _TOKEN.fullmatch(user) or (service and not _TOKEN.fullmatch(service)):
        return None
    return Tokens(user, service)


def _verdict(auth: Any, token: dict[str, Any]) -> Verdict:
    user, service = auth.user, auth.service
    identity = Identity(
        user_id=user.user_id,
        user_name=user.username,
        project_id=user.project_id,
        roles=frozenset(user.role_names),
        project_name=user.project_name,
        user_domain_id=user.user_domain_id,
        project_domain_id=user.project_domain_id,
        service_roles=frozenset(service.role_names) if service else frozenset(),
    )
    expiries = [access.expires.timestamp() for access in (user, service) if access]
    credential = token.get("application_credential") or {}
    return Verdict(identity, min(expiries), reusable=credential.get("access_rules") is None)


def _unavailable(error: BaseException, tokens: Tokens) -> Unavailable:
    reason = str(error).replace(tokens.user, "…")
    if tokens.service:
        reason = reason.replace(tokens.service, "…")
    log.warning("keystone unavailable", error=reason, kind=type(error).__name__)
    return Unavailable("Keystone doesn't answer")


def _cache_times(settings: Settings) -> tuple[int, int]:
    """Seconds in memcached and in the process; together never more than the setting's."""
    total = settings.keystone_token_cache_time
    if not settings.keystone_memcached_servers:
        return 0, total
    own = min(30, total // 2)
    return total - own, own


def _options(settings: Settings, cache_time: int) -> dict[str, str]:
    """The settings as keystonemiddleware's options: texts, and none for what isn't set."""
    options: dict[str, Any] = {
        "auth_url": settings.keystone_auth_url,
        "www_authenticate_uri": settings.keystone_www_authenticate_uri
        or settings.keystone_auth_url,
        "interface": settings.keystone_interface,
        "region_name": settings.keystone_region_name,
        "service_type": SERVICE_TYPE,
        "service_token_roles": ",".join(settings.keystone_service_token_roles),
        "service_token_roles_required": True,
        "http_connect_timeout": settings.keystone_timeout,
        "http_request_max_retries": 1,
        "cafile": settings.keystone_cafile,
        "certfile": settings.keystone_certfile,
        "keyfile": settings.keystone_keyfile,
        "insecure": settings.keystone_insecure,
        # Negative: none. What is kept in the process is kept here.
        "token_cache_time": cache_time or -1,
    }
    if settings.keystone_memcached_servers and cache_time:
        options["memcached_servers"] = ",".join(settings.keystone_memcached_servers)
        options["memcache_pool_conn_get_timeout"] = settings.keystone_timeout
        if secret := settings.keystone_memcached_secret_key.get_secret_value():
            options |= {"memcache_security_strategy": "MAC", "memcache_secret_key": secret}
    if settings.keystone_application_credential_id:
        secret = settings.keystone_application_credential_secret.get_secret_value()
        options |= {
            "auth_type": "v3applicationcredential",
            "application_credential_id": settings.keystone_application_credential_id,
            "application_credential_secret": secret,
        }
    else:
        options |= {
            "auth_type": "password",
            "username": settings.keystone_username,
            "password": settings.keystone_password.get_secret_value(),
            "project_name": settings.keystone_project_name,
            "user_domain_name": settings.keystone_user_domain_name,
            "project_domain_name": settings.keystone_project_domain_name,
        }
    return {key: str(value) for key, value in options.items() if value not in {None, ""}}
