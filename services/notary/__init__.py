"""Tamper evidence: a Merkle tree over the log, signed checkpoints of it, and the check of both."""
