"""The nouns on disk, one a file: frozen, without I/O. A type is here only if it is in a file under output/."""
