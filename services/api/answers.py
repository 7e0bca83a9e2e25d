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
