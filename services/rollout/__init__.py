"""The rollout, PURE: no I/O, no clock, no randomness. Imports events only."""
