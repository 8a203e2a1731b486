"""The wheel and the source distribution, as users get them: `make test-install`."""
