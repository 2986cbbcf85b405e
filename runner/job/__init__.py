"""One command line's worth of runs: what is asked for, who plays, the episodes side by side, and their grading."""
