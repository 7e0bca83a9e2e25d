"""Deciding: the only writer of the log, and how it is asked."""
