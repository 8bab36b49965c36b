"""Trains a classifier on the wine data, writes the model and its metrics."""

import json

import joblib
import pandas as pd
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

data = load_wine(as_frame=True)
frame: pd.DataFrame = data.frame
train, test = train_test_split(frame, test_size=0.3, stratify=frame["target"], random_state=0)
columns = list(data.feature_names)

model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
scores = cross_val_score(model, train[columns], train["target"], cv=5)
model.fit(train[columns], train["target"])
probabilities = model.predict_proba(test[columns])

metrics = {
    "accuracy": accuracy_score(test["target"], model.predict(test[columns])),
    "cross_validation": scores.tolist(),
    "log_loss": log_loss(test["target"], probabilities),
    "means": train.groupby("target")["alcohol"].mean().to_dict(),
}
joblib.dump(model, "model.joblib")
with open("metrics.json", "w") as file:
    json.dump(metrics, file, indent=2, sort_keys=True)
print(f"accuracy {metrics['accuracy']:.4f}")
