"""The verdicts against the plain model of the agent, over random histories of one series."""

import random
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from gateway.chains.policies import Policy
from gateway.chains.restoring import Member, read
from gateway.chains.states import NEVER, Entry, Media, Verdict
from gateway.chains.vocabularies import Restorability as Word
from gateway.chains.vocabularies import RestorabilityReason as Why
from tests.support import agent_rules
from tests.support.agent_rules import Link
from tests.support.folding import fold

HISTORIES = 1000
HOUR = 3600
GAPS = (HOUR, 12 * HOUR, 24 * HOUR, 24 * HOUR, 24 * HOUR + 1, 80 * HOUR)


@dataclass
class History:
    """The backups of a series: as they are in the storage, and as the catalogue has them."""

    storage: str
    is_told: bool
    stored: dict[int, list[Link]] = field(default_factory=dict)
    made: list[Link] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    removals: list[tuple[int, int]] = field(default_factory=lambda: [(NEVER, NEVER)])
    """Before each backup, and after the last: what an `admin` action has removed."""

    @property
    def media(self) -> Media:
        """Return what the rules know of the series."""
        is_told = self.is_told and any(link.level for link in self.made)
        return Media("fs", self.storage == "ssh", self.storage == "local", is_told)

    def verdicts(self) -> list[Verdict]:
        """Return what the gateway derives."""
        return fold(self.entries, self.media, self.removals)

    def remove(self, until: int) -> None:
        """Remove the chains that began by then."""
        left = agent_rules.left(self.stored, until)
        self.stored = {zero: list(links) for zero, links in left.items()}

    def word(self, link: Link) -> str:
        """Return what the model says of a backup."""
        if link not in self.stored.get(link.chain, ()):
            return "EXPIRED"
        return agent_rules.verdict(self.stored, link, self.storage)


def options(chance: random.Random) -> dict[str, Any]:
    return {
        "incremental": chance.random() < 0.85,
        "max_level": chance.choice([0, 0, 1, 2, 3, -1]),
        "always_level": chance.choice([0, 0, 1, 2, 3, -1]),
        "restart_always_level": chance.choice([0, 0, 0, 0.5, 1, 3]),
    }


def history(chance: random.Random) -> History:
    """Return the backups that an agent makes, some of which remove old ones.

    The policy changes at times. A storage that isn't sorted lists in any order.
    """
    found = History(chance.choice(["ssh", "local"]), is_told=chance.random() < 0.25)
    policy, days = options(chance), chance.choice([None, None, 0, 1.3, 3.3])
    now = 1_700_000_000
    for _ in range(chance.randint(1, 14)):
        now += chance.choice(GAPS)
        policy = options(chance) if chance.random() < 0.08 else policy
        pick = agent_rules.by_name
        if found.storage == "local" and found.stored:
            pick = chance.choice(list(agent_rules.every_pick(found.stored[max(found.stored)])))
        link = agent_rules.next_link(found.stored, agent_rules.Policy(**policy), now, pick)
        found.made.append(link)
        found.stored.setdefault(link.chain, []).append(link)
        removal = chance.choice([None, days])
        told = link.level if found.is_told else 0
        known = Policy(**policy, remove_older_than=removal)
        found.entries.append(Entry(now, "available", told, known))
        if removal is not None:
            found.remove(agent_rules.cutoff(now, older_than=removal))
        found.removals.append((NEVER, NEVER))
        if chance.random() < 0.1:
            until = agent_rules.cutoff(now + HOUR // 2, older_than=chance.choice([0.01, 2.2]))
            found.remove(until)
            found.removals[-1] = until, NEVER
    return found


@pytest.mark.parametrize("seed", range(3))
def test_verdicts_are_the_agents(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - histories, not secrets
    for _ in range(HISTORIES):
        played = history(chance)
        is_derived = True
        for link, verdict in zip(played.made, played.verdicts(), strict=True):
            context = (link, verdict, [asdict(entry) for entry in played.entries])
            if verdict.level is None:
                # Only where it depends on the order of a listing, or what it depends on does.
                assert played.storage == "local", context
                assert verdict.restorability in {Word.UNKNOWN, Word.EXPIRED}, context
                assert not is_derived or verdict.reason in {Why.LISTING_ORDER, Why.RETENTION}, (
                    context
                )
                is_derived = False
            else:
                assert (verdict.chain, verdict.level) == (link.chain, link.level), context
                if is_derived:
                    assert verdict.restorability == played.word(link), context
                is_derived = is_derived or verdict.level == 0


@pytest.mark.parametrize("seed", range(3))
def test_what_is_read_is_what_the_agent_reads(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - histories, not secrets
    for _ in range(HISTORIES // 2):
        played = history(chance)
        verdicts = dict(zip(played.made, played.verdicts(), strict=True))
        for at in [link.time for link in played.made]:
            zeros = [zero for zero in played.stored if zero <= at]
            links = played.stored[max(zeros)] if zeros else []
            if not links or any(verdicts[link].level is None for link in verdicts):
                continue
            members = [
                Member(
                    link.name,
                    link.time,
                    link.level,
                    verdicts[link].restorability,
                    verdicts[link].reason,
                    has_size=True,
                )
                for link in links
            ]
            reading = read(members, at, played.media, played.storage)
            possible = agent_rules.possible_restores(played.stored, at, played.storage)
            context = (at, reading, possible)
            if reading.restorability == Word.UNKNOWN:
                assert len(possible) > 1 or {one.shown for one in possible} == {None}, context
            else:
                (restore,) = possible
                assert [step.name for step in restore.steps] == [one.id for one in reading.steps]
                is_shown = restore.shown is not None
                assert (reading.restorability == Word.RESTORABLE) == is_shown, context
