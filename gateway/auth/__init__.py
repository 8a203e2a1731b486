"""Authentication and authorization: callers, their tokens and trusts, and the policy."""
