"""What the runs of a job say together: rates, targets, failures, effort, and how far the submissions converged. Pure.

Everything here is computed from records; nothing is measured. Of a submission's text it sees only the facts that a parsing
sandbox gave (`runner.records.syntax`).
"""

# What is wanted of a task where nothing else is said: hard, and not out of reach. chosen.
WANTED_RATES = (0.10, 0.40)
