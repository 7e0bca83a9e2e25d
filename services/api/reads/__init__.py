"""Flag reads: a plain ASGI path in front of the routes, answered from memory."""
