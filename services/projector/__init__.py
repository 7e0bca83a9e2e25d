"""The log folded into tables, and what is published of it."""
