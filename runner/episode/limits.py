"""What one call of a tool may use up. What an episode may is in `runner.budget`."""

BASH_DEADLINE_S = 120.0
BASH_DEADLINE_MAX_S = 600.0
FILE_DEADLINE_S = 30.0
ANSWER_GRACE_S = 15.0
OUTPUT_BYTES_MAX = 30_000
INPUT_BYTES_MAX = 2 * 1024 * 1024
CALLS_PER_TURN_MAX = 32
