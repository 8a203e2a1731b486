"""Queries: conditions, orders and pages, as SQL."""
