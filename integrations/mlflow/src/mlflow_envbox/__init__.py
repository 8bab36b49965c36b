"""MLflow projects in envbox's sandbox: `mlflow run --backend envbox PROJECT`."""
