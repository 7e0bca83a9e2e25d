"""Cutover's toggles in the application's own process: an OpenFeature provider that watches the flag bucket.

One rule: what is imported from here stays; the modules behind it may change.
"""

from cutover_openfeature.answers import Answer, bucketing
from cutover_openfeature.provider import CutoverProvider
from cutover_openfeature.view import View

__all__ = ["Answer", "CutoverProvider", "View", "bucketing"]
