"""`cutover demo`: the release plan this service was made for, carried out from adoption to closed."""

from services.demo.live import play_live
from services.demo.run import play

__all__ = ["play", "play_live"]
