"""What may still be spent, by an episode and by a job; and what a job can cost."""
