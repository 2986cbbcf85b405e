"""`analyze --measure`: what only measuring tells of a job, measured after it has ended.

`plan.py` says what is to be measured and what that costs; `ablation.py`, `missed.py` and `profile.py` measure one thing
each; `session.py` goes through the plan, keeps what is done and goes on where it was interrupted; `stored.py` makes records
of what is kept.
"""
