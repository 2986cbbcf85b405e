"""A task is proved before money is spent on it: its folder, its data, its baseline and solution, and what must not pass.

`data.py` and `figures.py` are pure; `containers.py` runs samples; `check_task.py` says in which order.
"""
