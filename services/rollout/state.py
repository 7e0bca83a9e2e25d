"""Rollout: everything the log says of one rollout, and `evolve`, which adds one fact.

One rule: `evolve` never refuses and has no side effect; what may happen is decided in `decider.py`.
"""
