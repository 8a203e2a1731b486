"""Who may do what: the rules, by freezer-api's names."""

from gateway.auth import Identity


class Policy:
    """The rules in force."""

    def check(self, rule: str, identity: Identity, project_id: str) -> None:
        """Let the caller pass, or raise Forbidden; `project_id` is whose items it is about.

        Without authentication there is one user, who may do everything.
        """
