"""What is answered when the answer is yes.

One rule: bytes are made by msgspec, from structs whose fields are the API's.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """JSON; instants are RFC 3339 in UTC."""
    return Response(msgspec.json.encode(body), status_code=status, headers=headers, media_type="application/json")


def weight(accepts: str, kind: str) -> float:
    """The q of a media type that an `Accept` header names (RFC 9110, 12.5.1); 0 for one it does not name."""
    for one in accepts.lower().split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        if name == kind:
            given = next((p[2:] for p in parameters if p.startswith("q=")), "1")
            try:
                return float(given)
            except ValueError:
                return 0.0
    return 0.0
