"""What acts: the log, the engine, the clock, the projector, HTTP and the command line."""
