"""Draining: the time between a request to stop and the stop, for proxies to notice."""

ENDS_IN_TURN = "gateway.ends_in_turn"
"""The key of a socket's scope by which it says that it ends by itself when the gateway stops."""


class Draining:
    """Knows if the gateway is about to stop, and if anybody would notice."""

    def __init__(self) -> None:
        self.is_watched = False
        """True once somebody has asked if the gateway is ready."""
        self.has_begun = False
        """True once the gateway has been asked to stop."""
