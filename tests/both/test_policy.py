"""The rules: freezer-api's, role by role, in one's own project and in others; and changed ones."""

import os
import re
import time
from pathlib import Path

import pytest

import gateway
from gateway.auth import policy
from gateway.auth.identity import Identity
from gateway.auth.policy import BASES, RULES, Policy, sample
from gateway.errors import Forbidden
from gateway.resolvers import actions, backups, clients, job_actions, jobs, sessions
from gateway.rest_compat.handlers import JOBS
from gateway.rest_compat.routes import FLAGS, ROUTES, requests_by_rule

READS = [
    "actions:get",
    "actions:get_all",
    "backups:get",
    "backups:get_all",
    "clients:get",
    "clients:get_all",
    "jobs:get",
    "jobs:get_all",
    "sessions:get",
    "sessions:get_all",
]
BACKUP_WRITES = ["backups:create", "backups:delete", "backups:update"]
WRITES = [
    "actions:create",
    "actions:delete",
    "actions:replace",
    "actions:update",
    "clients:create",
    "clients:delete",
    "health:hosts:set",
    "health:mute",
    "health:objectives:set",
    "jobs:create",
    "jobs:delete",
    "jobs:event:create",
    "jobs:update",
    "sessions:action:create",
    "sessions:create",
    "sessions:delete",
    "sessions:job:add",
    "sessions:job:remove",
    "sessions:replace",
    "sessions:update",
]
UNTRUSTED = ["graphql:any_document"]
ACROSS = [
    "actions:get_all_projects",
    "backups:get_all_projects",
    "clients:create_central",
    "clients:get_all_projects",
    "jobs:get_all_projects",
    "sessions:get_all_projects",
]
EVERYTHING = READS + BACKUP_WRITES + WRITES + ACROSS + UNTRUSTED
NONE: list[str] = []

EXPECTED = {
    # role: what it allows in one's own project, and in others
    "admin": (EVERYTHING, EVERYTHING),
    "service": (READS + BACKUP_WRITES + ACROSS, READS + BACKUP_WRITES + ACROSS),
    "member": (READS + BACKUP_WRITES + WRITES, NONE),
    "reader": (READS, NONE),
    "manager": (NONE, NONE),
    "": (NONE, NONE),
}


def caller(*roles: str, project_id: str | None = "own") -> Identity:
    return Identity("u", "user", project_id, frozenset(roles))


def allowed(rules: Policy, identity: Identity, rule: str, project_id: str) -> bool:
    try:
        rules.check(rule, identity, project_id)
    except Forbidden:
        return False
    return True


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """Return where a policy file may be written."""
    return tmp_path / "policy.yaml"


def test_every_rule_is_known() -> None:
    assert sorted(EVERYTHING) == list(RULES)


@pytest.mark.parametrize("role", EXPECTED)
@pytest.mark.parametrize("project_id", ["own", "other"])
def test_each_role(role: str, project_id: str) -> None:
    rules, identity = Policy(), caller(role)
    expected = EXPECTED[role][project_id == "other"]
    # Twice: the second time it is remembered.
    for _ in range(2):
        for rule in RULES:
            assert allowed(rules, identity, rule, project_id) is (rule in expected), rule
    assert rules.permissions(identity, project_id) == sorted(expected)


def test_what_is_remembered_is_the_caller_s_own() -> None:
    rules = Policy()
    assert allowed(rules, caller("member"), "jobs:get_all", "own")
    assert not allowed(rules, caller("member", project_id="x"), "jobs:get_all", "own")
    assert allowed(rules, caller("member", project_id="x"), "jobs:get_all", "x")
    assert not allowed(rules, caller("reader"), "jobs:create", "own")
    assert allowed(rules, caller("reader", "member"), "jobs:create", "own")
    assert not allowed(rules, caller("other"), "jobs:get_all", "own")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("project_id", ["", "own"])
def test_without_a_project_nothing_is_allowed(
    rule: str, project_id: str, policy_file: Path
) -> None:
    identity = caller("admin", "service", "member", "reader", project_id=None)
    assert not allowed(Policy(), identity, rule, project_id)
    policy_file.write_text(f'"{rule}": "@"')
    assert not allowed(Policy(policy_file), identity, rule, project_id)


def test_roles_are_compared_as_keystone_does() -> None:
    assert allowed(Policy(), caller("Member"), "jobs:create", "own")


def test_the_refusal_names_the_rule_and_the_project() -> None:
    with pytest.raises(Forbidden, match=r"'jobs:create'.*'other'"):
        Policy().check("jobs:create", caller("member"), "other")


def test_a_rule_that_nobody_defined_is_a_mistake_of_ours() -> None:
    with pytest.raises(Exception, match="jobs:paint"):
        Policy().check("jobs:paint", caller("admin"), "own")


def test_the_resolvers_ask_for_rules_that_exist() -> None:
    named = set()
    for file in Path(gateway.__file__).parent.rglob("*.py"):
        if "node_modules" not in file.parts and file != Path(policy.__file__):
            entities = "actions|backups|clients|health|jobs|sessions"
            named |= set(re.findall(rf'"((?:{entities}):[a-z_:]+)"', file.read_text()))
    assert named
    assert named <= set(RULES)


def test_a_collection_reads_by_the_rules_that_it_names() -> None:
    for one in (actions, backups, clients, job_actions, jobs, sessions):
        collection, rules = one.COLLECTION, one.COLLECTION.rules
        assert {rules.list, rules.item, rules.all_projects} <= set(RULES)
        everywhere = collection.all_projects
        asked = [collection, collection.as_item, everywhere, everywhere.as_item]
        assert [each.rule for each in asked] == [
            *(rules.list, rules.item, rules.all_projects, rules.all_projects)
        ]


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_may_be_changed(rule: str, policy_file: Path) -> None:
    policy_file.write_text(f'"{rule}": "role:painter and project_id:%(project_id)s"\n')
    rules = Policy(policy_file)
    assert rules.permissions(caller("painter"), "own") == [rule]
    assert rules.permissions(caller("painter"), "other") == []
    assert rules.permissions(caller("admin"), "own") == sorted(set(RULES) - {rule})


def test_what_rules_are_made_of_may_be_changed(policy_file: Path) -> None:
    policy_file.write_text('context_is_admin: "role:admin and project_id:%(project_id)s"\n')
    rules = Policy(policy_file)
    assert allowed(rules, caller("admin"), "jobs:create", "own")
    assert not allowed(rules, caller("admin"), "jobs:create", "other")
    assert allowed(rules, caller("admin"), "jobs:get", "other")


@pytest.mark.parametrize(
    ("rule", "may"),
    [
        ("@", True),
        ("", True),
        ("!", False),
        ("not role:painter", False),
        ("user_id:u", True),
        ("user_id:somebody", False),
        ("user_name:user", True),
        ("user_domain_id:d", True),
        ("project_domain_id:pd", True),
        ("service_roles:nova", True),
        ("service_roles:cinder", False),
        ("user_id:%(user_id)s", False),
        ("rule:trusted", True),
        ("(role:a or role:painter) and project_id:own", True),
        ([["role:painter", "project_id:own"], "role:a"], True),
        ([["role:painter", "project_id:x"], "role:a"], False),
        ("'own':%(project_id)s", True),
    ],
)
def test_the_language_of_rules(rule: object, may: bool, policy_file: Path) -> None:  # noqa: FBT001
    policy_file.write_text(f'"jobs:get": {rule!r}\ntrusted: "role:painter"\n'.replace("''", '""'))
    identity = Identity(
        "u",
        "user",
        "own",
        frozenset({"painter"}),
        user_domain_id="d",
        project_domain_id="pd",
        service_roles=frozenset({"nova"}),
    )
    assert allowed(Policy(policy_file), identity, "jobs:get", "own") is may


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"jobs:get": "role:a adn role:b"', "'jobs:get' can't be understood"),
        ('"jobs:get": "role:a or painter"', "'jobs:get' can't be understood"),
        ('"jobs:get": "role:a and"', "'jobs:get' can't be understood"),
        ('"jobs:get": "(role:a"', "'jobs:get' can't be understood"),
        ('"jobs:get": "rule:nowhere"', "jobs:get"),
        ('a: "rule:b"\nb: "rule:a"', "a"),
        ('"jobs:get": "http://example.org/%(project_id)s"', "'jobs:get' asks another server"),
        ('"jobs:get": 1', "'jobs:get': 1 is not a rule"),
        ('"jobs:get":', "'jobs:get': None is not a rule"),
        ('1: "@"', "1: '@' is not a rule"),
        ("- a", "must map names to rules"),
        ("a: [", "is not YAML"),
        ("\ufffe", "is not YAML"),
    ],
)
def test_a_file_that_cannot_be_understood(text: str, said: str, policy_file: Path) -> None:
    policy_file.write_text(text)
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        Policy(policy_file)
    assert str(policy_file) in str(error.value)


def test_a_file_that_is_not_there_or_not_text(policy_file: Path) -> None:
    with pytest.raises(OSError, match=r"policy\.yaml"):
        Policy(policy_file)
    policy_file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match="is not YAML"):
        Policy(policy_file)
    policy_file.write_text("")
    assert allowed(Policy(policy_file), caller("member"), "jobs:create", "own")


def test_a_rule_that_nothing_asks_for_is_told(
    policy_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy_file.write_text('"job:get": "@"\nhelper: "@"\n')
    Policy(policy_file)
    printed = capsys.readouterr()
    assert "job:get" in printed.out + printed.err
    assert "helper" not in printed.out + printed.err


def test_a_file_that_changes_is_read_again(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "REREAD_SECONDS", 0.01)
    policy_file.write_text('"jobs:get": "role:painter"')
    rules = Policy(policy_file)

    def now_says(text: str | None) -> bool:
        if text is None:
            policy_file.unlink()
        else:
            policy_file.write_text(text)
            os.utime(policy_file, ns=(time.time_ns(), time.time_ns()))
        time.sleep(0.02)
        return allowed(rules, caller("painter"), "jobs:get", "own")

    assert allowed(rules, caller("painter"), "jobs:get", "own")
    assert not now_says('"jobs:get": "role:a"')
    # What is wrong changes nothing.
    assert not now_says('"jobs:get": "role:painter or"')
    assert not now_says(None)
    assert now_says('"jobs:get": "role:painter"')


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "MAX_DECISIONS", 100)
    rules = Policy()
    for number in range(1000):
        assert allowed(rules, caller("member", project_id=f"p{number}"), "jobs:get", f"p{number}")
    assert len(rules.decisions) <= 100


def test_the_sample_says_what_holds(policy_file: Path) -> None:
    text = sample(requests_by_rule())
    for name in (*BASES, *RULES):
        assert f'#"{name}": ' in text
    policy_file.write_text(text)
    commented = Policy(policy_file)
    policy_file.write_text(re.sub(r'(?m)^#"', '"', text))
    in_force = Policy(policy_file)
    for role in EXPECTED:
        for project_id in ("own", "other"):
            granted = Policy().permissions(caller(role), project_id)
            assert commented.permissions(caller(role), project_id) == granted
            assert in_force.permissions(caller(role), project_id) == granted


def without_names(path: str) -> str:
    """Return a path with the ids in it unnamed: `{id}` and `{job_id}` are the same place."""
    return re.sub(r"{\w+}", "{}", path)


def test_the_sample_documents_the_routes_and_no_others() -> None:
    parts = sample(requests_by_rule()).split("\n\n")[2:]
    documented = set()
    for part in parts:
        (rule,) = re.findall(r'(?m)^#"([^"]+)"', part)
        requests = re.findall(r"(?m)^# ([A-Z]+) /v2/{project_id}(\S+)$", part)
        documented |= {(rule, method, without_names(path)) for method, path in requests}
        assert ("# GraphQL only\n" in part) is not bool(requests)
    served = {
        (rule, method, without_names(path))
        for path, method, rules, _ in ROUTES
        for rule in rules.split()
    }
    flagged = {(rule, method, f"{path}?{name}=true") for path, method, name, rule in FLAGS}
    assert documented == served | flagged
    assert {rule for rule, *_ in documented} <= set(RULES)
    assert len(parts) == len(RULES)


def test_flags_ask_for_the_rules_of_their_lists() -> None:
    assert [rule for *_, rule in FLAGS] == [JOBS.collection.all_projects.rule]
