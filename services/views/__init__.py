"""What the tables answer."""
