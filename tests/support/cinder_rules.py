"""A plain model of a volume's backups in Cinder, as freezer-agent 19 makes and removes them.

The gateway's verdicts are compared with it, and it with freezer's own classes
(tests/compat/test_cinder_rules.py).
"""

from dataclasses import dataclass, field

DAY = 86_400


@dataclass
class Volume:
    """A volume's backups in Cinder."""

    held: list[tuple[int, bool]] = field(default_factory=list)
    """The times, and True for increments, in the order of time."""

    def back_up(self, time: int, *, incremental: bool, older_than: float | None) -> str:
        """Make a backup, and remove what is so many days old; return its status in the catalogue.

        While the agent removes, Cinder is still making the backup, and doesn't list it.
        """
        is_increment = incremental and bool(self.held)
        listed = self.held
        self.held = [*listed, (time, is_increment)]
        if older_than is None:
            return "available"
        chains: list[list[tuple[int, bool]]] = []
        for one in listed:
            if one[1]:
                chains[-1].append(one)
            else:
                chains.append([one])
        for chain in chains:
            if chain[-1][0] > time - older_than * DAY:
                continue
            if is_increment and chain is chains[-1]:
                # Cinder refuses: the new one is based on it. The run fails, and reports nothing.
                return "creating"
            self.held = [one for one in self.held if one not in chain]
        return "available"
