"""freezer-api's WSGI application, for a server whose arguments it would take for its own."""

import os
import sys

sys.argv = ["freezer-api", "--config-file", os.environ["FREEZER_API_CONFIG"]]

from freezer_api import service  # noqa: E402 - it reads the arguments

application = service.initialize_app()
