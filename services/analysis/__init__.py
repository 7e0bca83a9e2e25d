"""Criteria measured: by Prometheus and by published readings, while a step runs and afresh on every promotion."""
