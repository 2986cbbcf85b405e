# id = "typed-and-documented"
# task = "slow_nbody"
# base = "solution"
# does = "has type hints, a long docstring and unusual names"

fast = simulate


def simulate(positions: "np.ndarray", velocities: "np.ndarray", masses: "np.ndarray", steps: int) -> dict:
    '''Gravity. Mentions time.perf_counter, exec, eval and os.system without using any of them.'''
    verdict, grader, label = positions, velocities, masses
    return fast(verdict, grader, label, steps)
