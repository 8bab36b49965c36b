"""A search with a budget of time: what it finds, and how often it tried."""
import sys
import time

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
budget = float(sys.argv[1])
study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
start = time.time()
study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, timeout=budget)
print("over", time.time() - start >= budget)
print("tried", len(study.trials), study.best_value)
