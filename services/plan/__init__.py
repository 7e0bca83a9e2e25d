"""A plan before there is a rollout: its file, and an imagined one."""
