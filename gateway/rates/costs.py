"""Costs: the points that requests are charged, the same on both surfaces.

A point is about what it takes to show one item. Costs are known before anything is read: they are
upper bounds of the work that a request can ask for, not measurements.
"""

ITEM = 1
"""An item that is looked up, or one of a page, whether or not the page turns out as long."""
SCAN = 10
"""A condition, a search or a total, each of which may need to look at more than the page."""
WRITE = 10
"""A change: a transaction of a few statements."""
INTROSPECTION = 100
"""A question about the GraphQL schema, which may ask for all of it."""
PROJECT = 100
"""A question about all that a project has, counted anew each time."""
REFUSED = 10
"""A GraphQL document that turns out invalid, and had to be read to know."""


def page(length: int, scans: int = 0) -> int:
    """Return the cost of a page of this length, with so many conditions, searches and totals."""
    return max(length, 1) * ITEM + scans * SCAN
