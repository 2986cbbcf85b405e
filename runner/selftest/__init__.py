"""Attacks that must be caught, and honest work that must pass: shipped, so that users can try them on their own hosts."""
