"""Horizon's pages, and the static files that a web server would serve beside them."""

from django.conf import settings
from django.urls import re_path
from django.views.static import serve
from openstack_dashboard.urls import *  # noqa: F403 - handlers and all
from openstack_dashboard.urls import urlpatterns

urlpatterns = [
    re_path(r"^static/(?P<path>.*)$", serve, {"document_root": settings.STATIC_ROOT}),
    *urlpatterns,
]
