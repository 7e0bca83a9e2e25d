"""Who has the toggles on, on its way to readers: the bucket, and what a reader keeps of it."""
