"""What a person reads: results on stdout, progress on stderr. Nothing here can start a container."""
