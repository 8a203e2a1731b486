"""Chains: what a restore of a backup needs, worked out from the catalogue by the agent's rules.

Everything is derived from the rows alone, by what freezer-agent 19 does: see `docs/insight.md`.
"""
