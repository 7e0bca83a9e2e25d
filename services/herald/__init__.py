"""The herald: tells people, by the plan's own routes, what the log says they should know."""
