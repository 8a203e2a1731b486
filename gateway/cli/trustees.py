"""Advice on trusts: jobs of central clients run only if they are given to the gateway's user."""

from collections.abc import Sequence

from gateway.auth.threads import WorkerThreads
from gateway.auth.trusts import Trustee
from gateway.errors import GatewayError
from gateway.moving.counts import RowCounts
from gateway.settings import Settings


async def advice(chosen: Settings, counts: RowCounts, keystone_user: str | None) -> Sequence[str]:
    """Return what is to be said of the trusts of jobs that were imported.

    Keystone is asked for those of the gateway's user. Where it doesn't tell, the user is compared
    with freezer-api's, `keystone_user`, if that is known.
    """
    if not counts.trusts:
        return ()
    told = (
        f"{counts.trusts.total():,} jobs work by a trust of Keystone, whose trustee is the user of "
        "freezer-api: the gateway must log in to Keystone as the same one"
    )
    if chosen.auth != "keystone":
        return (f"{told}; it doesn't log in to Keystone yet",)
    own = f"{chosen.keystone_username} ({chosen.keystone_user_domain_name})"
    if chosen.keystone_application_credential_id:
        own = "the user of its application credential"
    trustee = Trustee(chosen, WorkerThreads())
    try:
        held = await trustee.api.ask(trustee.held)
    except GatewayError as error:
        return (
            f"{told}{_compared(own, keystone_user)}",
            f"{error.message}: its trusts are unknown",
        )
    all_, lacking = len(counts.trusts), counts.trusts.keys() - held
    if not lacking:
        return (f"{told}, and does: as {own}, to whom all {all_:,} trusts are given",)
    jobs = sum(counts.trusts[trust] for trust in lacking)
    missing = (
        f"{len(lacking):,} of the {all_:,} trusts aren't given to {own}, or are gone: their "
        f"{jobs:,} jobs won't run"
    )
    return (f"{told}{_compared(own, keystone_user)}", missing)


def _compared(own: str, keystone_user: str | None) -> str:
    if keystone_user is None:
        return f"; it logs in as {own}"
    if keystone_user == own:
        return f", and does: as {own}"
    return f", {keystone_user}, and not as {own}"
