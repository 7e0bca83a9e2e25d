"""How many files this process may have open, its connections among them.

One rule: the system's soft limit is for programs that could not deal with more, so the hard one is taken.
"""

from __future__ import annotations

import logging
import resource
import sys

logger = logging.getLogger("cutover")


def take_all() -> None:
    """Raise the soft limit to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        logger.warning("no more than %d files can be open: %s", soft, error)


def most() -> int:
    """How many may be open now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
