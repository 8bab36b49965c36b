import numpy as np


def noise():
    return np.random.default_rng().normal(size=8)


np.save("noise.npy", noise())
