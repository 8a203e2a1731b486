"""Keystone's WSGI application, for a server whose arguments Keystone would take for its own."""

import sys

sys.argv = sys.argv[:1]

from keystone.wsgi.api import application  # noqa: E402, F401 - it reads the arguments
