"""HTTP: bytes and status codes on the outside, requests and replies on the inside."""
