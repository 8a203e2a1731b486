"""Horizon's own settings, and what of them a test says in variables."""

import os

from openstack_dashboard.settings import *  # noqa: F403 - as Horizon's own settings do it

OPENSTACK_KEYSTONE_URL = os.environ.get("HORIZON_KEYSTONE_URL", "")
STATIC_ROOT = os.environ["HORIZON_STATIC_ROOT"]
ROOT_URLCONF = "horizon_urls"
ALLOWED_HOSTS = ["127.0.0.1"]
SECRET_KEY = "of sessions that live for one run"  # noqa: S105 - no more secret than they are
# One process serves, and keeps its sessions.
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
COMPRESS_OFFLINE = True
