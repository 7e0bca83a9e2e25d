"""The event store: the protocol, JetStream, and memory (for tests and simulation)."""
