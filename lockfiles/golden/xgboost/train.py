"""Boosts trees on the breast cancer data, writes the model and its metrics."""

import json

import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

features, labels = load_breast_cancer(return_X_y=True)
split = train_test_split(features, labels, test_size=0.3, random_state=0)
train_features, test_features, train_labels, test_labels = split

model = xgboost.XGBClassifier(n_estimators=200, max_depth=4, subsample=0.8, random_state=0, n_jobs=1)
model.fit(train_features, train_labels)
auc = roc_auc_score(test_labels, model.predict_proba(test_features)[:, 1])

model.save_model("model.ubj")
with open("metrics.json", "w") as file:
    json.dump({"auc": auc}, file, indent=2)
print(f"auc {auc:.4f}")
