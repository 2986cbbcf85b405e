"""Other people's programs that use this one: each is an extra of its own, imported by one module here."""
