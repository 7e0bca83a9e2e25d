"""The NATS server: connected to, or started."""
