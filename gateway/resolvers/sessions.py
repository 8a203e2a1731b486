"""Sessions: jobs on several hosts that start together."""

from gateway.resolvers import listing
from gateway.tables import Session, columns

COLUMNS = columns(Session)
LISTING = listing(Session, "sessions:get_all", COLUMNS.description, COLUMNS.id)
