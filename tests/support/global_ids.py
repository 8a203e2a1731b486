"""Global ids, as the documentation describes them."""

import base64


def global_id(name: str, project_id: str, item_id: str) -> str:
    """Return the global id of an item of this type."""
    return base64.b64encode(f"{name}:{project_id}:{item_id}".encode()).decode()
