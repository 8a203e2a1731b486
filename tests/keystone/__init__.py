"""Tokens, sign-in and trusts, with stand-ins for Keystone."""
