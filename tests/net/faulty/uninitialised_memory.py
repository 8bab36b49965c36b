import numpy as np

weights = np.empty(1000)
print(float(np.abs(weights).sum()), weights[:4])
