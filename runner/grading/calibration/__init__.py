"""A host's noise: measured once with the same file on both sides, kept as a certificate, and compared with each job's."""
