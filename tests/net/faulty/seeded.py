import numpy as np

print(np.random.default_rng(1).normal(size=3))
