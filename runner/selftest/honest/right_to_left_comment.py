# id = "right-to-left-comment"
# task = "slow_nbody"
# base = "solution"
# does = "has a comment in Hebrew, with the marks of direction that editors put around its brackets"

# ‏כוח המשיכה (מכווץ)‎ נולד בהפרשים‏
fast = simulate


def simulate(positions, velocities, masses, steps):
    return fast(positions, velocities, masses, steps)
