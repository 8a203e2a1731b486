"""Token validation: Keystone's verdict on a token, cached until it expires."""

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from cachetools import TLRUCache

from gateway.auth.identity import Headers, Identity
from gateway.auth.identity_api import credentials, unavailable
from gateway.auth.threads import WorkerThreads
from gateway.errors import Unauthenticated, Unavailable
from gateway.settings import Settings

SERVICE_TYPE = "backup"
"""The gateway's type in Keystone's service catalogue, and in credentials' access rules."""

REFUSAL_SECONDS = 5
"""Seconds for which a token that Keystone rejected is refused without asking again."""

UNCACHED_SECONDS = 60
"""Seconds after which a stream asks again about tokens that aren't cached at all."""

_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a request: its user's, and that of the service which passes it on."""

    user: str = field(repr=False)
    service: str | None = field(default=None, repr=False)

    @property
    def key(self) -> bytes:
        """The cache key, a digest: the tokens themselves are not kept."""
        return hashlib.sha256(f"{self.user}\n{self.service or ''}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Validation:
    """Keystone's verdict on tokens; without an identity they are not valid.

    `expires_at` is in seconds since 1970. One that isn't `reusable` holds for the path and method
    it was asked for, and no others.
    """

    identity: Identity | None
    expires_at: float = 0
    reusable: bool = True


Validate = Callable[[Tokens, str, str], Validation]
"""Validates tokens for a path and a method. Blocks; raises Unavailable."""

ValidationCache = TLRUCache[bytes, Validation]
"""Validations by `Tokens.key`, each until its `expires_at`; beyond the size the LRU one goes."""


class KeystoneAuthenticator:
    """Validates tokens with Keystone, in a worker thread, one request per token at a time.

    A validation is cached for `keystone_token_cache_time` at most and never past the tokens'
    expiry; a refusal for `REFUSAL_SECONDS`; one for a token with access rules not at all.
    """

    def __init__(
        self,
        settings: Settings,
        validate: Validate | None = None,
        clock: Callable[[], float] = time.time,
        threads: WorkerThreads | None = None,
    ) -> None:
        shared, own = _cache_times(settings)
        self._validate = validate or TokenValidator(settings, cache_time=shared)
        self._clock = clock
        self._cache_time = own
        self.known = _cache(settings.keystone_token_cache_size, clock)
        # A cache of their own: guessed tokens must not evict those in use.
        self.refused = _cache(settings.keystone_token_cache_size, clock)
        self._pending: dict[bytes, asyncio.Task[Validation]] = {}
        self._threads = threads or WorkerThreads()
        # Login and validation, each tried twice, each up to keystone_timeout.
        self.timeout = 4 * settings.keystone_timeout
        self._uri = settings.www_authenticate_uri

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:
        """Return the identity that the request's tokens belong to.

        Raises Unauthenticated, with the address to get a token from, and Unavailable when Keystone
        doesn't answer.
        """
        tokens = _tokens(headers)
        if tokens is None:
            raise Unauthenticated("a token in X-Auth-Token is required", uri=self._uri)
        key = tokens.key
        found = self.known.get(key) or self.refused.get(key)
        if found is None:
            found = await self._ask(key, tokens, path, method)
        if found.identity is None:
            raise Unauthenticated("the token is not valid, or not for this", uri=self._uri)
        return found.identity

    def forget(self, headers: Headers) -> None:
        """Drop a revoked token from the cache; memcached may keep it longer."""
        tokens = _tokens(headers)
        if tokens is not None:
            self.known.pop(tokens.key, None)

    def known_for(self, headers: Headers) -> float:
        """Return the seconds for which the word about the headers' tokens is to be believed."""
        tokens, now = _tokens(headers), self._clock()
        found = None if tokens is None else self.known.get(tokens.key)
        if found is None:
            return self._cache_time or UNCACHED_SECONDS
        return found.expires_at - now

    async def _ask(self, key: bytes, tokens: Tokens, path: str, method: str) -> Validation:
        pending = self._pending.get(key)
        if pending is not None:
            found = await self._result(pending)
            if found.reusable:
                return found
            # The other request was for another path, so its answer says nothing about this one.
            return await self._result(self._start(key, tokens, path, method))
        pending = self._pending[key] = self._start(key, tokens, path, method)
        pending.add_done_callback(lambda _: self._pending.pop(key))
        return await self._result(pending)

    def _start(
        self, key: bytes, tokens: Tokens, path: str, method: str
    ) -> "asyncio.Task[Validation]":
        task = asyncio.create_task(self._find(key, tokens, path, method))
        # Where every caller has gone away, nobody else retrieves the exception.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _result(self, pending: "asyncio.Task[Validation]") -> Validation:
        # `wait` doesn't cancel: a caller that goes away doesn't take the answer from the others.
        done, _ = await asyncio.wait({pending}, timeout=self.timeout)
        if not done:
            raise Unavailable("Keystone doesn't answer")
        return pending.result()

    async def _find(self, key: bytes, tokens: Tokens, path: str, method: str) -> Validation:
        since = self._clock()
        found = await self._threads.run("tokens", self._validate, tokens, path, method)
        if found.identity is None:
            if found.reusable:
                self.refused[key] = replace(found, expires_at=since + REFUSAL_SECONDS)
            return found
        found = replace(found, identity=replace(found.identity, expires_at=found.expires_at))
        if found.reusable:
            until = min(since + self._cache_time, found.expires_at)
            self.known[key] = replace(found, expires_at=until)
        return found


def _cache(size: int, clock: Callable[[], float]) -> ValidationCache:
    return TLRUCache(size, lambda _key, found, _now: found.expires_at, clock)


class TokenValidator:
    """Validates tokens with keystonemiddleware's own code, outside of any WSGI application.

    Imports it when instantiated: that takes a second, and local use doesn't need it.
    """

    def __init__(self, settings: Settings, *, cache_time: int) -> None:
        from keystonemiddleware import auth_token  # noqa: PLC0415 - slow
        from keystonemiddleware.auth_token import _request  # noqa: PLC0415
        from oslo_config import cfg  # noqa: PLC0415
        from webob import exc  # noqa: PLC0415

        # Silenced: it quotes Keystone's answers, and those may quote tokens. `unavailable` logs.
        logging.getLogger("keystonemiddleware").setLevel(logging.CRITICAL + 1)
        config = cfg.ConfigOpts()
        config([], default_config_files=[], default_config_dirs=[])
        self._protocol = auth_token.AuthProtocol(
            None, {"oslo_config_config": config, **_options(settings, cache_time)}
        )
        self._request = _request._AuthTokenRequest  # noqa: SLF001 - the middleware's own kind
        self._refusal, self._outage = exc.HTTPUnauthorized, exc.HTTPServiceUnavailable

    def __call__(self, tokens: Tokens, path: str, method: str) -> Validation:
        """Ask Keystone, or memcached where it is configured, and return the verdict.

        Raises Unavailable when neither answers.
        """
        headers = {"X-Auth-Token": tokens.user}
        if tokens.service:
            headers["X-Service-Token"] = tokens.service
        request = self._request.blank("/", headers=headers)
        request.method, request.path_info = method, path
        try:
            self._protocol.process_request(request)
        except self._refusal:
            # A token unknown to Keystone is refused everywhere; one that it knows (expired, or
            # with other access rules) only for this request.
            auth = request.token_auth
            return Validation(None, reusable=auth is None or auth.user is None)
        except self._outage as error:
            raise unavailable(error.__context__ or error, tokens.user, tokens.service) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, Keystone has not answered
            raise unavailable(error, tokens.user, tokens.service) from None
        return _validation(request.token_auth, request.token_info["token"])


def _tokens(headers: Headers) -> Tokens | None:
    user = (headers.get("x-auth-token") or "").strip()
    service = (headers.get("x-service-token") or "").strip() or None
    # Anything else is no token, and might not even fit into a header of our own request.
    if not _TOKEN.fullmatch(user) or (service and not _TOKEN.fullmatch(service)):
        return None
    return Tokens(user, service)


def _validation(auth: Any, token: dict[str, Any]) -> Validation:
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
    return Validation(identity, min(expiries), reusable=credential.get("access_rules") is None)


def _cache_times(settings: Settings) -> tuple[int, int]:
    """Return the seconds to cache in memcached, and in the process; their sum is the setting."""
    total = settings.keystone_token_cache_time
    if not settings.keystone_memcached_servers:
        return 0, total
    own = min(30, total // 2)
    return total - own, own


def _options(settings: Settings, cache_time: int) -> dict[str, str]:
    """Return keystonemiddleware's options as texts, without those that are not set."""
    options: dict[str, Any] = {
        "auth_url": settings.keystone_auth_url,
        "www_authenticate_uri": settings.www_authenticate_uri,
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
        # Negative: no cache of its own in the process; ours is `KeystoneAuthenticator.known`.
        "token_cache_time": cache_time or -1,
    }
    if settings.keystone_memcached_servers and cache_time:
        options["memcached_servers"] = ",".join(settings.keystone_memcached_servers)
        options["memcache_pool_conn_get_timeout"] = settings.keystone_timeout
        if secret := settings.keystone_memcached_secret_key.get_secret_value():
            options |= {"memcache_security_strategy": "MAC", "memcache_secret_key": secret}
    plugin, own_user = credentials(settings)
    options |= {"auth_type": plugin, **own_user}
    return {key: str(value) for key, value in options.items() if value not in {None, ""}}
