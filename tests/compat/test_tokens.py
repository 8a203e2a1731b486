"""Tokens of all kinds, made by a real Keystone and judged by keystonemiddleware."""

import asyncio
import time
from typing import Any, cast

import pytest

from gateway.auth.identity import Identity
from gateway.auth.keystone import KeystoneAuthenticator
from gateway.auth.policy import RULES, Policy
from gateway.context import Contexts
from gateway.db.database import Database
from gateway.errors import Forbidden, Unauthenticated, Unavailable

from .conftest import MakeAuthenticator
from .keystone import USERS, Keystone
from .memcached import memcached

pytestmark = pytest.mark.anyio

PATH = "/v2/p/jobs"
NOWHERE = cast("Database", None)
"""Identities and rules need no database."""


async def identify(
    authenticator: KeystoneAuthenticator,
    token: str | None,
    path: str = PATH,
    method: str = "GET",
    *,
    service: str | None = None,
) -> Identity:
    headers = {"x-auth-token": token, "x-service-token": service}
    return await authenticator.identify(
        {key: value for key, value in headers.items() if value is not None}, path, method
    )


async def permissions(
    authenticator: KeystoneAuthenticator, token: str, project_id: str | None = None, **headers: str
) -> set[str]:
    """Return what the token allows in a project that is named in the path or in a header."""
    contexts = Contexts(NOWHERE, Policy(), authenticator)
    ctx = await contexts.open({"x-auth-token": token} | headers, PATH, project_id, method="GET")
    granted = ctx.policy.permissions(ctx.identity, ctx.project_id)
    for rule in RULES:
        if rule in granted:
            ctx.authorize(rule)
        else:
            with pytest.raises(Forbidden):
                ctx.authorize(rule)
    return set(granted)


READS = {rule for rule in RULES if rule.endswith((":get", ":get_all"))}
ACROSS = {rule for rule in RULES if rule.endswith((":get_all_projects", ":create_central"))}
ADMINS = ACROSS | {"graphql:any_document"}
BACKUP_WRITES = {"backups:create", "backups:update", "backups:delete"}


async def test_a_member_s_token(keystone: Keystone, authenticator: KeystoneAuthenticator) -> None:
    identity = await identify(authenticator, keystone.token("alice", "alpha"))
    assert identity == Identity(
        user_id=keystone.users["alice"],
        user_name="alice",
        project_id=keystone.projects["alpha"],
        roles=frozenset({"member", "reader"}),
        project_name="alpha",
        user_domain_id="default",
        project_domain_id="default",
    )


@pytest.mark.parametrize(
    ("user", "granted", "elsewhere"),
    [
        ("alice", set(RULES) - ADMINS, set()),
        ("rita", READS, set()),
        ("bob", set(RULES) - ADMINS, set()),
        ("ada", set(RULES), set(RULES)),
        ("nova", READS | ACROSS | BACKUP_WRITES, READS | ACROSS | BACKUP_WRITES),
    ],
)
async def test_roles(
    keystone: Keystone,
    authenticator: KeystoneAuthenticator,
    user: str,
    granted: set[str],
    elsewhere: set[str],
) -> None:
    project, _ = USERS[user]
    token = keystone.token(user, project)
    own = keystone.projects[project]
    other = keystone.projects["beta" if project == "alpha" else "alpha"]
    assert await permissions(authenticator, token) == granted
    assert await permissions(authenticator, token, own) == granted
    assert await permissions(authenticator, token, other) == elsewhere
    assert await permissions(authenticator, token, **{"x-project-id": other}) == elsewhere


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        " ",
        "x",
        "two words",
        "gAAAAABrBG" + "x" * 173,
        "x" * 5000,
        "t\u00f6ken",
        "\x00",
        "../../users",
        "%s%(x)s{}",
    ],
)
async def test_what_is_no_token(
    keystone: Keystone, authenticator: KeystoneAuthenticator, token: str | None
) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await identify(authenticator, token)
    assert refused.value.uri == keystone.auth_url


async def test_spaces_around_a_token(
    keystone: Keystone, authenticator: KeystoneAuthenticator
) -> None:
    token = keystone.token("alice", "alpha")
    assert (await identify(authenticator, f" {token} ")).user_name == "alice"


async def test_a_token_that_was_changed(
    keystone: Keystone, authenticator: KeystoneAuthenticator
) -> None:
    token = keystone.token("alice", "alpha")
    middle = len(token) // 2
    changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    with pytest.raises(Unauthenticated):
        await identify(authenticator, changed)


@pytest.mark.parametrize(
    "scope", ["unscoped", {"domain": {"id": "default"}}, {"system": {"all": True}}]
)
async def test_without_a_project_nothing_is_allowed(
    keystone: Keystone, authenticator: KeystoneAuthenticator, scope: Any
) -> None:
    # Keystone's administrator, who has every role everywhere.
    everywhere = f"/domains/default/users/{keystone.users['admin']}"
    keystone.admin("PUT", f"{everywhere}/roles/{keystone.roles['admin']}")
    token = keystone.token("admin", scope=scope)
    assert (await identify(authenticator, token)).project_id is None
    assert await permissions(authenticator, token) == set()
    assert await permissions(authenticator, token, keystone.projects["alpha"]) == set()


async def test_a_token_expires(keystone: Keystone, authenticator: KeystoneAuthenticator) -> None:
    with keystone.impatient(seconds := 6) as url:
        token = keystone.token("alice", "alpha", url=url)
        until = time.monotonic() + seconds
        assert (await identify(authenticator, token)).user_name == "alice"
    # It is in the cache, and the cache doesn't keep it alive.
    await asyncio.sleep(until - time.monotonic() + 0.1)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await identify(authenticator, token)

    # A service that has begun in time may end its work.
    nova = keystone.token("nova", "service")
    identity = await identify(authenticator, token, service=nova)
    assert identity.user_name == "alice"
    assert identity.service_roles == {"service"}
    # Nobody else may, and not by borrowing.
    with pytest.raises(Unauthenticated):
        await identify(authenticator, token, service=keystone.token("bob", "beta"))
    with pytest.raises(Unauthenticated):
        await identify(authenticator, token)


async def test_service_tokens(keystone: Keystone, authenticator: KeystoneAuthenticator) -> None:
    alice, bob = keystone.token("alice", "alpha"), keystone.token("bob", "beta")
    nova = keystone.token("nova", "service")
    identity = await identify(authenticator, alice, service=nova)
    assert (identity.user_name, identity.service_roles) == ("alice", {"service"})
    assert (await identify(authenticator, alice)).service_roles == set()
    assert (await identify(authenticator, alice, service="")).service_roles == set()
    for wrong in (bob, alice, "nonsense", "t\u00f6ken"):
        with pytest.raises(Unauthenticated):
            await identify(authenticator, alice, service=wrong)
    # A service says who it is in the user's place as well, or it is nobody.
    with pytest.raises(Unauthenticated):
        await identify(authenticator, None, service=nova)
    # What the user may do is the user's affair, whoever passes it on.
    contexts = Contexts(NOWHERE, Policy(), authenticator)
    headers = {"x-auth-token": alice, "x-service-token": nova}
    ctx = await contexts.open(headers, PATH, keystone.projects["beta"], method="GET")
    with pytest.raises(Forbidden):
        ctx.authorize("jobs:get_all")


async def test_a_revoked_token(keystone: Keystone, make_authenticator: MakeAuthenticator) -> None:
    authenticator = make_authenticator(keystone_token_cache_time=1)
    token = keystone.token("alice", "alpha")
    await identify(authenticator, token)
    keystone.revoke(token)
    await asyncio.sleep(1)
    with pytest.raises(Unauthenticated):
        await identify(authenticator, token)


async def test_a_token_of_a_role_that_was_taken_away(
    keystone: Keystone, make_authenticator: MakeAuthenticator
) -> None:
    authenticator = make_authenticator(keystone_token_cache_time=0)
    keystone.add_user("temp", "beta", "reader")
    token = keystone.token("temp", "beta")
    await identify(authenticator, token)
    keystone.admin(
        "DELETE",
        f"/projects/{keystone.projects['beta']}/users/{keystone.users['temp']}"
        f"/roles/{keystone.roles['reader']}",
    )
    with pytest.raises(Unauthenticated):
        await identify(authenticator, token)


async def test_application_credentials(
    keystone: Keystone, authenticator: KeystoneAuthenticator
) -> None:
    token = keystone.credential_token(keystone.credential("alice", "alpha"))
    assert (await identify(authenticator, token)).user_name == "alice"


async def test_access_rules(keystone: Keystone, authenticator: KeystoneAuthenticator) -> None:
    path = "/v2/{project_id}/jobs"
    rules = [
        {"service": "backup", "method": "GET", "path": path},
        {"service": "backup", "method": "GET", "path": "/v2/*/backups/**"},
        {"service": "compute", "method": "POST", "path": path},
    ]
    token = keystone.credential_token(keystone.credential("alice", "alpha", rules))
    allowed = ["/v2/p/jobs", "/v2/p/backups/a/b"]
    refused = ["/v2/p/jobs/", "/v2/p/jobs/x", "/v2/p/actions", "/v2/p/backups", "/", "/graphql"]
    for _ in range(2):
        for good in allowed:
            assert (await identify(authenticator, token, good)).user_name == "alice"
        for bad in refused:
            with pytest.raises(Unauthenticated):
                await identify(authenticator, token, bad)
        for method in ("POST", "HEAD", "DELETE", "get", ""):
            with pytest.raises(Unauthenticated):
                await identify(authenticator, token, allowed[0], method)

    # At once: what is found for one path says nothing about another.
    async def passes(path: str) -> bool:
        try:
            return (await identify(authenticator, token, path)).user_name == "alice"
        except Unauthenticated:
            return False

    asked = [*refused, *allowed, *refused, *allowed]
    answers = await asyncio.gather(*(passes(path) for path in asked))
    assert dict(zip(asked, answers, strict=True)) == {path: path in allowed for path in asked}


async def test_no_access_rule_allows_nothing(
    keystone: Keystone, authenticator: KeystoneAuthenticator
) -> None:
    rules = [{"service": "compute", "method": "GET", "path": "/**"}]
    token = keystone.credential_token(keystone.credential("alice", "alpha", rules))
    with pytest.raises(Unauthenticated):
        await identify(authenticator, token)


async def test_keystone_is_asked_once(
    keystone: Keystone, make_authenticator: MakeAuthenticator
) -> None:
    authenticator = make_authenticator()
    token, other = keystone.token("alice", "alpha"), keystone.token("rita", "alpha")
    before = keystone.validations()
    tokens = [token, other, "nonsense"] * 20
    answers = await asyncio.gather(
        *(identify(authenticator, each) for each in tokens), return_exceptions=True
    )
    assert sum(isinstance(answer, Unauthenticated) for answer in answers) == 20
    names = [answer.user_name for answer in answers if isinstance(answer, Identity)]
    assert names == ["alice", "rita"] * 20
    assert keystone.validations() - before == 3
    for _ in range(100):
        await identify(authenticator, token)
    with pytest.raises(Unauthenticated):
        await identify(authenticator, "nonsense")
    assert keystone.validations() - before == 3


async def test_keystone_goes_away_and_comes_back(
    keystone: Keystone, make_authenticator: MakeAuthenticator
) -> None:
    authenticator, late = make_authenticator(), make_authenticator()
    known, new = keystone.token("alice", "alpha"), keystone.token("rita", "alpha")
    await identify(authenticator, known)
    keystone.stop()
    try:
        assert (await identify(authenticator, known)).user_name == "alice"
        for each in (authenticator, late):
            with pytest.raises(Unavailable) as failed:
                await identify(each, new)
            assert failed.value.retry_after > 0
            # What can't be a token needs no Keystone to tell.
            with pytest.raises(Unauthenticated):
                await identify(each, None)
    finally:
        keystone.start()
    for each in (authenticator, late):
        assert (await identify(each, new)).user_name == "rita"
        assert (await identify(each, known)).user_name == "alice"


async def test_the_gateway_may_log_in_with_an_application_credential(
    keystone: Keystone, make_authenticator: MakeAuthenticator
) -> None:
    own = keystone.credential("gateway", "service")
    authenticator = make_authenticator(
        keystone_username="",
        keystone_password="",
        keystone_application_credential_id=own["id"],
        keystone_application_credential_secret=own["secret"],
    )
    assert (await identify(authenticator, keystone.token("alice", "alpha"))).user_name == "alice"


@pytest.mark.parametrize(
    "wrong",
    [
        {"keystone_password": "wrong"},
        {"keystone_username": "alice", "keystone_project_name": "alpha"},
        {"keystone_project_name": "nowhere"},
        {"keystone_region_name": "Nowhere"},
        {"keystone_auth_url": "http://127.0.0.1:1/v3"},
        {"keystone_auth_url": "http://nowhere.invalid/v3"},
    ],
)
async def test_a_gateway_that_keystone_does_not_know(
    keystone: Keystone, make_authenticator: MakeAuthenticator, wrong: dict[str, str]
) -> None:
    authenticator = make_authenticator(**wrong)
    with pytest.raises(Unavailable):
        await identify(authenticator, keystone.token("bob", "beta"))


# python-memcached doesn't close a socket that it couldn't connect.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_memcached(keystone: Keystone, make_authenticator: MakeAuthenticator) -> None:
    token = keystone.token("alice", "alpha")
    with memcached() as server:
        settings = {
            "keystone_memcached_servers": server.address,
            "keystone_memcached_secret_key": "a secret",
        }
        one, two = make_authenticator(**settings), make_authenticator(**settings)
        before = keystone.validations()
        assert (await identify(one, token)).user_name == "alice"
        assert (await identify(two, token)).user_name == "alice"
        assert keystone.validations() - before == 1
        assert token.encode() not in b"".join(value for _, value, _ in server.items.values())
        # Somebody else who can write there can't make tokens.
        forger = make_authenticator(**settings | {"keystone_memcached_secret_key": "another"})
        await identify(forger, token)
        assert keystone.validations() - before == 2
    # Without memcached it goes on.
    three = make_authenticator(**settings)
    assert (await identify(three, token)).user_name == "alice"


async def test_tokens_are_not_logged(
    keystone: Keystone,
    make_authenticator: MakeAuthenticator,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    alice, nova = keystone.token("alice", "alpha"), keystone.token("nova", "service")
    caplog.clear()
    caplog.set_level("DEBUG")
    unknown = "gAAAAABrBG" + "y" * 173
    authenticator = make_authenticator()
    await identify(authenticator, alice, service=nova)
    for user, service in ((unknown, None), (alice, unknown), (alice, alice)):
        with pytest.raises(Unauthenticated):
            await identify(authenticator, user, service=service)
    down = make_authenticator(keystone_auth_url="http://127.0.0.1:1/v3")
    with pytest.raises(Unavailable) as failed:
        await identify(down, alice, service=nova)
    printed = capsys.readouterr()
    everything = caplog.text + printed.out + printed.err + repr(authenticator) + repr(failed)
    assert "keystone" in everything
    for token in (alice, nova, unknown):
        assert token not in everything
