"""Conditions, orders and pages, as SQL."""
