"""What comes from outside: CI's events, webhooks and alerts, kept as they came and turned into commands."""
