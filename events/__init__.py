"""What happened. Pure data: msgspec and the standard library, nothing else."""
