"""The command line: the only place for flags, text on stdout and exit statuses."""
