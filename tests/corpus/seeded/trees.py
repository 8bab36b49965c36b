"""Boosts trees by two libraries on drawn data, and prints digests of models and predictions."""
import hashlib

import lightgbm
import numpy
import xgboost

draw = numpy.random.default_rng(0)
x = draw.normal(size=(600, 12)).astype("float32")
y = (numpy.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * draw.normal(size=600)).astype("float32")


def tell(name, *parts):
    print(name, *(hashlib.sha256(bytes(part)).hexdigest()[:16] for part in parts))


for method in "hist", "exact", "approx":
    for objective, label in ("reg:squarederror", y), ("binary:logistic", y > 0):
        options = {"tree_method": method, "objective": objective, "subsample": 0.7, "max_depth": 5}
        model = xgboost.train(options, xgboost.DMatrix(x, label=label), 20)
        tell(f"xgboost {method} {objective}", model.save_raw(), model.predict(xgboost.DMatrix(x)).data)
model = xgboost.train({"booster": "gblinear"}, xgboost.DMatrix(x, label=y), 20)
tell("xgboost gblinear", model.save_raw(), model.predict(xgboost.DMatrix(x)).data)
for boosting in "gbdt", "dart", "rf":
    for objective, label in ("regression", y), ("binary", y > 0), ("multiclass", numpy.digitize(y, [-1, 0, 1])):
        options = {"boosting": boosting, "objective": objective, "verbose": -1, "bagging_freq": 1,
                   "bagging_fraction": 0.7, "feature_fraction": 0.7, "num_class": 4 if objective == "multiclass" else 1}
        model = lightgbm.train(options, lightgbm.Dataset(x, label=label), 20)
        tell(f"lightgbm {boosting} {objective}", model.model_to_string().encode(), model.predict(x).data)
