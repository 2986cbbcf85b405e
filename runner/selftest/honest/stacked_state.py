# id = "stacked-state"
# task = "slow_nbody"
# base = "solution"
# does = "keeps positions and velocities in one array, and updates both through views of it"


def simulate(positions, velocities, masses, steps):
    state = np.ascontiguousarray(np.stack([positions.T, velocities.T]))
    where, speed = state
    apart = np.empty((3, len(masses), len(masses)))
    for _ in range(steps):
        np.subtract(where[:, None, :], where[:, :, None], out=apart)
        square = np.einsum("kij,kij->ij", apart, apart) + SOFTENING
        speed += DT * np.einsum("kij,ij->ki", apart, masses / (square * np.sqrt(square)))
        where += DT * speed
    return {"positions": state[0].T.copy(), "velocities": state[1].T.copy()}
