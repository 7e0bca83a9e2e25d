"""`cutover`, the command line: every question and every command, for people and for scripts."""

from services.cli.app import app, main

__all__ = ["app", "main"]
