"""One job on several hosts: each plays and grades shares of its runs with an engine of its own."""
