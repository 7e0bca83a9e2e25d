"""Who is who: tokens for those who act, the vault for those who test."""
