"""Who is calling: how long Keystone's word is believed, and how often it is asked."""

import asyncio
import threading
from typing import Any, cast

import pytest
from pydantic import ValidationError

from gateway.auth.identity import Identity, NoAuthenticator
from gateway.auth.keystone import REFUSAL_SECONDS, KeystoneAuthenticator, Tokens, Validation
from gateway.auth.policy import Policy
from gateway.context import Contexts
from gateway.db.database import Database
from gateway.errors import BadInput, Unauthenticated, Unavailable
from gateway.settings import Settings, load

pytestmark = pytest.mark.anyio

ALICE = Identity("1", "alice", "alpha", frozenset({"member"}))
NOBODY = Validation(None)
NOW = 1_000_000.0
LATER = NOW + 3600
NOWHERE = cast("Database", None)
"""Telling who calls needs no database."""


class Validator:
    """Says of every token what it was told to, and counts how often it was asked."""

    def __init__(self, verdict: Validation | Exception) -> None:
        """Begin with this answer, given at once."""
        self.verdict = verdict
        self.asked: list[tuple[str, str | None, str, str]] = []
        self.at_once = self.most_at_once = 0
        self.was_asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._lock = threading.Lock()

    def __call__(self, tokens: Tokens, path: str, method: str) -> Validation:
        """Answer, when it may."""
        with self._lock:
            self.asked.append((tokens.user, tokens.service, path, method))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.was_asked.set()
        self.may_answer.wait(10)
        with self._lock:
            self.at_once -= 1
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


class Clock:
    """A time of day that passes when told to."""

    def __init__(self) -> None:
        """Begin at `NOW`."""
        self.now = NOW

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def settings(**given: object) -> Settings:
    usual = {
        "auth": "keystone",
        "keystone_auth_url": "https://keystone.example/v3",
        "keystone_username": "gateway",
        "keystone_password": "secret",
    }
    return load(**usual | given)


def authenticator(
    verdict: Validation | Exception = Validation(ALICE, LATER),  # noqa: B008 - it is frozen
    **given: object,
) -> tuple[KeystoneAuthenticator, Validator, Clock]:
    validator, clock = Validator(verdict), Clock()
    return KeystoneAuthenticator(settings(**given), validator, clock), validator, clock


async def identify(
    asked: KeystoneAuthenticator,
    token: str = "t",  # noqa: S107 - a token for tests
    path: str = "/",
    method: str = "GET",
    **headers: str,
) -> Identity:
    return await asked.identify({"x-auth-token": token} | headers, path, method)


async def refused(asked: KeystoneAuthenticator, token: str = "t", path: str = "/") -> bool:  # noqa: S107
    try:
        await identify(asked, token, path)
    except Unauthenticated as error:
        uri = error.uri
    else:
        return False
    assert uri == "https://keystone.example/v3"
    return True


async def test_a_token_is_asked_about_once() -> None:
    asked, validator, clock = authenticator()
    assert await identify(asked, "t", "/v2/alpha/jobs", "POST") == ALICE
    clock.now += 299
    assert await identify(asked, " t ", "/graphql") == ALICE
    assert validator.asked == [("t", None, "/v2/alpha/jobs", "POST")]
    await identify(asked, "u")
    assert len(validator.asked) == 2


async def test_a_verdict_is_believed_for_a_time_from_the_question_on() -> None:
    asked, validator, clock = authenticator(keystone_token_cache_time=60)
    validator.may_answer.clear()
    answer = asyncio.create_task(identify(asked))
    await asyncio.to_thread(validator.was_asked.wait)
    clock.now += 10
    validator.may_answer.set()
    await answer
    clock.now += 49.9
    await identify(asked)
    assert len(validator.asked) == 1
    clock.now += 0.1
    await identify(asked)
    assert len(validator.asked) == 2


async def test_never_past_its_expiry() -> None:
    asked, validator, clock = authenticator(Validation(ALICE, NOW + 5))
    await identify(asked)
    clock.now += 4.9
    await identify(asked)
    assert len(validator.asked) == 1
    clock.now += 0.1
    validator.verdict = NOBODY
    assert await refused(asked)
    assert len(validator.asked) == 2


async def test_an_expired_token_of_a_service_s_user_is_not_remembered() -> None:
    asked, validator, _ = authenticator(Validation(ALICE, NOW - 5))
    for _ in range(2):
        await identify(asked, **{"x-service-token": "s"})
    assert len(validator.asked) == 2


async def test_no_cache() -> None:
    asked, validator, _ = authenticator(keystone_token_cache_time=0)
    for _ in range(3):
        await identify(asked)
    assert len(validator.asked) == 3


async def test_a_service_s_token_is_part_of_the_question() -> None:
    asked, validator, _ = authenticator()
    await identify(asked, "t")
    await identify(asked, "t", **{"x-service-token": "s"})
    await identify(asked, "t", **{"x-service-token": "other"})
    await identify(asked, "t", **{"x-service-token": " "})
    assert [(user, service) for user, service, *_ in validator.asked] == [
        ("t", None),
        ("t", "s"),
        ("t", "other"),
    ]


async def test_a_refusal_is_believed_briefly() -> None:
    asked, validator, clock = authenticator(NOBODY)
    assert await refused(asked)
    assert await refused(asked)
    assert len(validator.asked) == 1
    clock.now += REFUSAL_SECONDS
    validator.verdict = Validation(ALICE, LATER)
    assert await identify(asked) == ALICE


async def test_the_cache_is_bounded_and_keeps_what_is_in_use() -> None:
    asked, validator, _ = authenticator(keystone_token_cache_size=10)
    await identify(asked, "in-use")
    for number in range(100):
        await identify(asked, f"t{number}")
        await identify(asked, "in-use")
    assert len(validator.asked) == 101
    assert len(asked.known) == 10
    await identify(asked, "t0")
    assert len(validator.asked) == 102


async def test_guessing_does_not_push_out_what_is_in_use() -> None:
    asked, validator, _ = authenticator(keystone_token_cache_size=10)
    await identify(asked, "good")
    validator.verdict = NOBODY
    for number in range(100):
        assert await refused(asked, f"guess{number}")
    assert len(asked.refused) == 10
    assert await identify(asked, "good") == ALICE
    assert len(validator.asked) == 101


async def test_one_question_at_a_time() -> None:
    asked, validator, _ = authenticator()
    validator.may_answer.clear()
    waiting = [asyncio.create_task(identify(asked, "t", f"/{path}")) for path in range(50)]
    await asyncio.sleep(0)  # until they wait
    validator.may_answer.set()
    assert await asyncio.gather(*waiting) == [ALICE] * 50
    assert len(validator.asked) == 1


async def test_those_who_wait_get_the_failure_too_and_it_is_not_remembered() -> None:
    asked, validator, _ = authenticator(Unavailable("Keystone doesn't answer"))
    validator.may_answer.clear()
    waiting = [asyncio.create_task(identify(asked)) for _ in range(20)]
    await asyncio.sleep(0)  # until they wait
    validator.may_answer.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    assert len(validator.asked) == 1
    validator.verdict = Validation(ALICE, LATER)
    assert await identify(asked) == ALICE


async def test_a_caller_that_goes_away_does_not_take_the_answer_along() -> None:
    asked, validator, _ = authenticator()
    validator.may_answer.clear()
    first, second = (asyncio.create_task(identify(asked)) for _ in range(2))
    await asyncio.sleep(0)  # until they wait
    first.cancel()
    await asyncio.wait({first})
    validator.may_answer.set()
    assert await second == ALICE
    assert len(validator.asked) == 1


async def test_nobody_waits_for_ever() -> None:
    asked, validator, _ = authenticator(keystone_timeout=1)
    asked.timeout = 0.1
    validator.may_answer.clear()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await identify(asked)
    # It is one question still, and the answer counts when it comes.
    assert len(validator.asked) == 1
    validator.may_answer.set()
    asked.timeout = 10
    assert await identify(asked) == ALICE


async def test_a_hanging_keystone_does_not_stop_the_rest() -> None:
    asked, validator, _ = authenticator()
    await identify(asked, "known")
    validator.may_answer.clear()
    waiting = [asyncio.create_task(identify(asked, f"t{number}")) for number in range(40)]
    await asyncio.sleep(0)  # until they wait
    assert await asyncio.wait_for(identify(asked, "known"), 10) == ALICE
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "another thread"), 10)
    validator.may_answer.set()
    await asyncio.gather(*waiting)
    assert validator.most_at_once <= 8


async def test_what_holds_for_one_path_is_not_believed_for_another() -> None:
    asked, validator, _ = authenticator(Validation(ALICE, LATER, reusable=False))
    for path in ("/a", "/a", "/b"):
        await identify(asked, "t", path)
    assert [path for *_, path, _ in validator.asked] == ["/a", "/a", "/b"]
    assert len(asked.known) == 0

    validator.asked.clear()
    validator.may_answer.clear()
    waiting = [asyncio.create_task(identify(asked, "t", f"/{path}")) for path in range(5)]
    await asyncio.sleep(0)  # until they wait
    validator.may_answer.set()
    await asyncio.gather(*waiting)
    assert sorted(path for *_, path, _ in validator.asked) == [f"/{path}" for path in range(5)]


async def test_a_refusal_for_one_path_is_none_for_another() -> None:
    asked, validator, _ = authenticator(Validation(None, reusable=False))
    assert await refused(asked, "t", "/a")
    validator.verdict = Validation(ALICE, LATER, reusable=False)
    assert not await refused(asked, "t", "/b")
    assert len(asked.refused) == 0


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nb", "a\rb", "\x7f", "\x00", "ü"])
async def test_what_cannot_be_a_token_asks_nobody(token: str) -> None:
    asked, validator, _ = authenticator()
    assert await refused(asked, token)
    if token.strip():
        with pytest.raises(Unauthenticated):
            await identify(asked, "t", **{"x-service-token": token})
    with pytest.raises(Unauthenticated):
        await asked.identify({}, "/", "GET")
    assert validator.asked == []


async def test_tokens_are_not_kept() -> None:
    asked, _, _ = authenticator()
    await identify(asked, "a-token", **{"x-service-token": "another"})
    assert "a-token" not in repr(Tokens("a-token", "another"))
    assert "another" not in repr(Tokens("a-token", "another"))
    assert "a-token" not in repr(vars(asked)) + repr(vars(asked.known))


async def test_where_to_get_a_token() -> None:
    asked, _, _ = authenticator(keystone_www_authenticate_uri="https://public.example/v3/")
    with pytest.raises(Unauthenticated) as error:
        await asked.identify({}, "/", "GET")
    assert error.value.uri == "https://public.example/v3"


@pytest.mark.parametrize(
    ("headers", "path_project", "expected"),
    [
        ({}, None, "alpha"),
        ({"x-project-id": "beta"}, None, "beta"),
        ({"x-project-id": ""}, None, "alpha"),
        ({}, "gamma", "gamma"),
        ({"x-project-id": "beta"}, "gamma", "gamma"),
    ],
)
async def test_which_project(
    headers: dict[str, str], path_project: str | None, expected: str
) -> None:
    asked, _, _ = authenticator()
    contexts = Contexts(NOWHERE, Policy(), asked)
    ctx = await contexts.open({"x-auth-token": "t"} | headers, "/", path_project, method="GET")
    assert ctx.project_id == expected
    assert ctx.identity == ALICE


async def test_a_project_that_cannot_be() -> None:
    asked, _, _ = authenticator()
    contexts = Contexts(NOWHERE, Policy(), asked)
    with pytest.raises(BadInput, match="X-Project-Id"):
        await contexts.open({"x-auth-token": "t", "x-project-id": "a/b"}, "/")
    with pytest.raises(BadInput, match="project_id"):
        await contexts.open({"x-auth-token": "t"}, "/", "a b")
    # Somebody unknown learns nothing of what else is wrong.
    with pytest.raises(Unauthenticated):
        await contexts.open({"x-project-id": "a/b"}, "/")


async def test_without_the_method_none_is_known() -> None:
    asked, validator, _ = authenticator()
    await Contexts(NOWHERE, Policy(), asked).open({"x-auth-token": "t"}, "/graphql")
    assert validator.asked == [("t", None, "/graphql", "")]


async def test_the_local_user_may_do_everything() -> None:
    contexts = Contexts(NOWHERE, Policy(), NoAuthenticator(load()))
    ctx = await contexts.open({}, "/graphql", method="POST")
    assert ctx.project_id == "demo"
    everything = ctx.policy.permissions(ctx.identity, "demo")
    assert everything
    assert ctx.policy.permissions(ctx.identity, "another") == everything
    ctx = await contexts.open({"x-project-id": "other"}, "/graphql", method="POST")
    assert ctx.project_id == ctx.identity.project_id == "other"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"keystone_auth_url": ""}, "keystone_auth_url"),
        ({"keystone_auth_url": "keystone:5000"}, "keystone_auth_url"),
        ({"keystone_username": ""}, "keystone_username"),
        ({"keystone_password": ""}, "keystone_password"),
        (
            {"keystone_application_credential_id": "c"},
            "keystone_application_credential_secret",
        ),
        ({"keystone_token_cache_time": -1}, "keystone_token_cache_time"),
        ({"keystone_interface": "private"}, "keystone_interface"),
    ],
)
def test_settings_that_cannot_work(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named) as error:
        settings(**given)
    assert "secret'" not in str(error.value)


def test_lists_in_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KEYSTONE_MEMCACHED_SERVERS", "one:11211, two:11211,")
    monkeypatch.setenv("GATEWAY_KEYSTONE_SERVICE_TOKEN_ROLES", "service,admin")
    made = settings()
    assert made.keystone_memcached_servers == ("one:11211", "two:11211")
    assert made.keystone_service_token_roles == ("service", "admin")
