"""The answers of v2: JSON documents, and the outcomes of writes."""

import orjson
from starlette.responses import Response

JSON = "application/json"


def json_response(document: object, status: int = 200, /, **headers: str) -> Response:
    """Return an answer with a document as JSON."""
    return Response(orjson.dumps(document), status, headers, media_type=JSON)


def no_content() -> Response:
    """Return an answer without a body: done."""
    return Response(status_code=204)
