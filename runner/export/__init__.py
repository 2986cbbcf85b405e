"""What other programs read: our records in formats of others."""
