"""Trains a small Keras network on handwritten digits, writes its weights and metrics."""

import json

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

tf.keras.utils.set_random_seed(0)
tf.config.experimental.enable_op_determinism()

images, labels = load_digits(return_X_y=True)
images = (images / 16.0).astype("float32")
train, test = slice(0, 1400), slice(1400, None)

model = tf.keras.Sequential(
    [
        tf.keras.Input((64,)),
        tf.keras.layers.Dense(32, activation="relu"),
        tf.keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer=tf.keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
for _ in range(10):
    for start in range(0, 1400, 100):
        batch = slice(start, start + 100)
        model.train_on_batch(images[batch], labels[batch])
loss, accuracy = model.test_on_batch(images[test], labels[test])

np.savez("weights.npz", *model.get_weights())
with open("metrics.json", "w") as file:
    json.dump({"accuracy": float(accuracy), "loss": float(loss)}, file, indent=2)
print(f"accuracy {accuracy:.4f}")
