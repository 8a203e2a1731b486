"""Sessions: jobs on several hosts that start together."""

from gateway import filters
from gateway.filters import Where
from gateway.resolvers import listing
from gateway.tables import Session, columns

COLUMNS = columns(Session)
LISTING = listing(Session, "sessions:get_all", COLUMNS.description, COLUMNS.id)


def search(text: str) -> Where:
    """Look for a text in descriptions; an id must be the whole text."""
    return filters.search(
        text,
        ids=(COLUMNS.id,),
        names=(COLUMNS.description,),
    )
