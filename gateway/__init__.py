"""The Freezer gateway: OpenStack's backup catalogue over GraphQL and REST v2."""

from importlib.metadata import version

__version__ = version("freezer-gateway")
