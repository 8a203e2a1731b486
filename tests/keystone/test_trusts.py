"""By which trusts jobs of central clients work: one for each user of a project, while in use."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.auth.identity import Identity
from gateway.catalogue.tables import Job
from gateway.context import Context
from gateway.deadlines import Deadlines
from gateway.errors import (
    Conflict,
    DeadlineExceeded,
    GatewayError,
    KeyInUse,
    LostRace,
    NotFound,
    Unavailable,
    Unprocessable,
)
from gateway.idempotency import IdempotencyKeys
from gateway.resolvers import clients, job_actions, jobs, trusts, writing
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.clients import ClientDraft
from gateway.resolvers.jobs import JobDraft
from gateway.settings import load
from tests.support.apps import MakeContext

pytestmark = pytest.mark.anyio


class Keystone:
    """The trusts that there are, each with its project and who made it."""

    def __init__(self) -> None:
        """Begin with none."""
        self.made = 0
        self.trusts: dict[str, tuple[str, str]] = {}

    def of(self, ctx: Context, user: str) -> Context:
        """Return the context of a member of the same project."""
        identity = Identity(user, user, ctx.project_id, frozenset({"member"}))
        return replace(ctx, identity=identity, trusts=Trusts(self, user))


class Trusts:
    """One user's trusts."""

    def __init__(self, keystone: Keystone, user: str) -> None:
        """Make and delete trusts of this user there."""
        self.keystone = keystone
        self.user = user

    async def create(self, project_id: str) -> Mapping[str, str]:
        """Make a trust."""
        self.keystone.made += 1
        trust_id = f"t{self.keystone.made}"
        self.keystone.trusts[trust_id] = (project_id, self.user)
        return {"trust_id": trust_id, "trustor_user_id": self.user}

    async def delete(self, trust_id: str) -> None:
        """Delete a trust."""
        del self.keystone.trusts[trust_id]


@pytest.fixture
def keystone() -> Keystone:
    """Return a Keystone without trusts."""
    return Keystone()


@pytest.fixture
async def alice(keystone: Keystone, make_ctx: MakeContext) -> Context:
    """Return a user of a project that a central client of another one serves."""
    await clients.create(make_ctx("p2"), ClientDraft("central", is_central=True))
    await clients.create(make_ctx("p1"), ClientDraft("own"))
    await clients.create(make_ctx("p1"), ClientDraft("other"))
    return keystone.of(make_ctx("p1"), "alice")


def job(client_id: str | None = "central", **given: str) -> JobDraft:
    return JobDraft(actions=[], client_id=client_id, **given)


def by(row: Job) -> tuple[str, str] | None:
    """Return a job's trust and its trustor."""
    if row.user_credentials is None:
        assert row.trust_id is None
        return None
    credentials = orjson.loads(row.user_credentials)
    assert credentials.keys() == {"trust_id", "trustor_user_id"}
    assert credentials["trust_id"] == row.trust_id
    return credentials["trust_id"], credentials["trustor_user_id"]


async def test_one_trust_for_each_user_until_the_last_job_is_gone(
    alice: Context, keystone: Keystone
) -> None:
    bob = keystone.of(alice, "bob")
    first, second = await jobs.create(alice, job()), await jobs.create(alice, job())
    third = await jobs.create(bob, job())
    assert by(first) == by(second) == ("t1", "alice")
    assert by(third) == ("t2", "bob")
    assert keystone.trusts == {"t1": ("p1", "alice"), "t2": ("p1", "bob")}
    await jobs.delete(alice, first.id)
    assert keystone.trusts.keys() == {"t1", "t2"}
    await jobs.delete(alice, second.id)
    assert keystone.trusts.keys() == {"t2"}
    assert by(await jobs.create(alice, job())) == ("t3", "alice")


async def test_each_project_has_its_own(
    alice: Context, keystone: Keystone, make_ctx: MakeContext
) -> None:
    elsewhere = keystone.of(make_ctx("p3"), "alice")
    assert by(await jobs.create(alice, job())) == ("t1", "alice")
    assert by(await jobs.create(elsewhere, job())) == ("t2", "alice")
    assert keystone.trusts == {"t1": ("p1", "alice"), "t2": ("p3", "alice")}


@pytest.mark.parametrize("client_id", ["own", None])
async def test_other_clients_need_none(
    alice: Context, keystone: Keystone, client_id: str | None
) -> None:
    assert by(await jobs.create(alice, job(client_id))) is None
    assert keystone.made == 0


async def test_a_job_that_moves(alice: Context, keystone: Keystone) -> None:
    row = await jobs.create(alice, job("own"))
    assert by(await jobs.update(alice, row.id, {"client_id": "central"})) == ("t1", "alice")
    same = await jobs.update(alice, row.id, {"client_id": "central", "description": "same"})
    assert by(same) == ("t1", "alice")
    assert by(await jobs.update(alice, row.id, {"client_id": "other"})) is None
    assert keystone.trusts == {}


async def test_a_job_that_is_replaced(alice: Context, keystone: Keystone) -> None:
    row = await jobs.create(alice, job())
    assert by(await jobs.replace(alice, row.id, job())) == ("t1", "alice")
    assert by(await jobs.replace(keystone.of(alice, "bob"), row.id, job())) == ("t2", "bob")
    assert keystone.trusts == {"t2": ("p1", "bob")}
    assert by(await jobs.replace(alice, row.id, job("own"))) is None
    assert keystone.trusts == {}


async def test_a_job_that_is_not_stored_leaves_no_trust(alice: Context, keystone: Keystone) -> None:
    unknown = [ActionDraft(action_id="unknown")]
    row = await jobs.create(alice, job("own"))
    for attempt in (
        jobs.create(alice, JobDraft(actions=unknown, client_id="central")),
        jobs.create(alice, job(job_id=row.id)),
        jobs.replace(alice, row.id, JobDraft(actions=unknown, client_id="central")),
        jobs.update(alice, row.id, {"client_id": "central", "actions": unknown}),
        jobs.update(alice, row.id, {"client_id": "central"}, expected_version=9),
    ):
        with pytest.raises(GatewayError):
            await attempt
        assert keystone.trusts == {}
    assert keystone.made == 5
    # One that another job works by stays.
    kept = await jobs.create(alice, job())
    with pytest.raises(GatewayError):
        await jobs.create(alice, JobDraft(actions=unknown, client_id="central"))
    assert keystone.trusts == {kept.trust_id: ("p1", "alice")}


async def test_a_trust_that_a_service_brings_is_not_deleted(
    alice: Context, keystone: Keystone
) -> None:
    """It may be in use where the gateway doesn't see it."""
    service = replace(
        alice, identity=Identity("svc", "svc", alice.project_id, frozenset({"member", "service"}))
    )
    keystone.trusts["brought"] = ("p1", "carol")
    brought = {"trust_id": "brought", "trustor_user_id": "carol"}
    row = await jobs.create(alice, job("own"))
    unknown = [ActionDraft(action_id="unknown")]
    for attempt in (
        jobs.create(service, JobDraft([], job_id=row.id, user_credentials=brought)),
        jobs.create(service, JobDraft(unknown, client_id="own", user_credentials=brought)),
        jobs.replace(service, row.id, JobDraft(unknown, user_credentials=brought)),
        jobs.replace(service, row.id, JobDraft([], user_credentials=brought), expected_version=9),
    ):
        with pytest.raises((Conflict, Unprocessable)):
            await attempt
        assert keystone.trusts == {"brought": ("p1", "carol")}


def with_key(ctx: Context, user: str, keystone: Keystone) -> Context:
    """Return the context of another request, which has an idempotency key."""
    keys = IdempotencyKeys(ctx.db, load())
    return replace(keystone.of(ctx, user), keys=keys, given_key="k", made_trusts=set())


async def test_a_repeat_makes_no_trust(alice: Context, keystone: Keystone) -> None:
    first = with_key(alice, "alice", keystone)
    async with first.once("request"):
        made = await jobs.create(first, job())
    await jobs.delete(alice, made.id)
    assert keystone.trusts == {}
    repeat = with_key(alice, "alice", keystone)
    async with repeat.once("request"):
        assert (await jobs.create(repeat, job())).id == made.id
    assert keystone.made == 1


async def test_who_loses_the_key_leaves_no_trust(alice: Context, keystone: Keystone) -> None:
    late, first = (with_key(alice, "alice", keystone) for _ in range(2))
    async with late.once("request"):
        async with first.once("request"):
            made = await jobs.create(first, job())
        await jobs.delete(alice, made.id)
        with pytest.raises(KeyInUse):
            await jobs.create(late, job())
    assert keystone.made == 2
    assert keystone.trusts == {}


async def test_a_repeat_deletes_the_trust_that_the_first_left(
    alice: Context, keystone: Keystone, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await jobs.create(alice, job())
    first = with_key(alice, "alice", keystone)
    with monkeypatch.context() as patched:
        patched.setattr(trusts, "revoke_if_unused", crash)
        async with first.once("request"):
            with pytest.raises(asyncio.CancelledError):
                await jobs.delete(first, made.id)
    assert len(keystone.trusts) == 1
    repeat = with_key(alice, "alice", keystone)
    async with repeat.once("request"):
        await jobs.delete(repeat, made.id)
    assert keystone.trusts == {}


async def crash(*_: object) -> None:
    raise asyncio.CancelledError


async def test_no_job_without_its_trust(alice: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_self: Trusts, _project_id: str) -> Mapping[str, str]:
        raise Unavailable("Keystone doesn't answer")

    monkeypatch.setattr(Trusts, "create", fail)
    with pytest.raises(Unavailable):
        await jobs.create(alice, job(job_id="j"))
    with pytest.raises(NotFound):
        await jobs.delete(alice, "j")


@pytest.mark.parametrize("write", ["create", "replace", "update"])
async def test_a_write_that_loses_a_race_makes_one_trust(
    alice: Context, keystone: Keystone, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    await jobs.replace(alice, "j", job("own"))
    assign, lost = job_actions.assign, []

    async def lose(*given: Any, **named: Any) -> None:
        await assign(*given, **named)
        if len(lost) < writing.MAX_ATTEMPTS - 1:
            lost.append(1)
            raise LostRace

    monkeypatch.setattr(job_actions, "assign", lose)
    if write == "create":
        row = await jobs.create(alice, job())
    elif write == "replace":
        row = await jobs.replace(alice, "j", job())
    else:
        row = await jobs.update(alice, "j", {"client_id": "central", "actions": []})
    assert len(lost) == writing.MAX_ATTEMPTS - 1
    assert by(row) == ("t1", "alice")
    assert keystone.trusts == {"t1": ("p1", "alice")}


async def test_a_write_that_loses_for_good_leaves_no_trust(
    alice: Context, keystone: Keystone, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(*_: object, **__: object) -> None:
        raise LostRace

    monkeypatch.setattr(job_actions, "assign", lose)
    with pytest.raises(LostRace):
        await jobs.create(alice, job())
    assert (keystone.made, keystone.trusts) == (1, {})


@pytest.mark.parametrize("write", ["replace", "update"])
@pytest.mark.parametrize("meanwhile", ["deleted", "moved"])
async def test_a_job_that_changes_before_its_trust_is_stored(
    alice: Context,
    keystone: Keystone,
    monkeypatch: pytest.MonkeyPatch,
    write: str,
    meanwhile: str,
) -> None:
    """The client and the trust are chosen again, for the job as it is then."""
    await jobs.replace(alice, "j", job("own"))
    create = Trusts.create

    async def be_late(trusts: Trusts, project_id: str) -> Mapping[str, str]:
        made = await create(trusts, project_id)
        if keystone.made == 1:
            if meanwhile == "deleted":
                await jobs.delete(alice, "j")
            else:
                await jobs.update(alice, "j", {"client_id": "other"})
        return made

    monkeypatch.setattr(type(alice.trusts), "create", be_late)
    if (write, meanwhile) == ("update", "deleted"):
        with pytest.raises(NotFound):
            await jobs.update(alice, "j", {"client_id": "central"})
        assert keystone.trusts == {}
        return
    if write == "replace":
        row = await jobs.replace(alice, "j", job())
    else:
        row = await jobs.update(alice, "j", {"client_id": "central"})
    assert by(row) == ("t2", "alice")
    assert keystone.trusts == {"t2": ("p1", "alice")}


@pytest.mark.parametrize("when", ["made", "stored"])
async def test_a_trust_for_a_write_that_took_too_long_is_deleted(
    alice: Context, keystone: Keystone, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    make = Trusts.create

    async def create() -> None:
        operation = Deadlines().begin(
            {"method": "POST", "path": "/v2/p1/jobs"}, is_write=True, is_kept=True
        )

        async def too_late(*_: object) -> None:
            operation.end(DeadlineExceeded("too late"))
            await asyncio.sleep(0)

        async def made_too_late(self: Trusts, project_id: str) -> Mapping[str, str]:
            made = await make(self, project_id)
            # Nobody else knows of it yet.
            await too_late()
            return made

        if when == "made":
            monkeypatch.setattr(Trusts, "create", made_too_late)
        else:
            monkeypatch.setattr(job_actions, "assign", too_late)
        await jobs.create(alice, job())

    with pytest.raises(DeadlineExceeded):
        await asyncio.create_task(create())
    assert keystone.made == 1
    assert keystone.trusts == {}
