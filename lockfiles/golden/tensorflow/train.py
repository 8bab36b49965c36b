"""Trains a small network to tell rings from discs, writes its weights and accuracy."""

import json

import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(0)
tf.config.experimental.enable_op_determinism()

random = np.random.default_rng(0)
points = random.normal(size=(2000, 2)).astype("float32")
labels = (np.hypot(points[:, 0], points[:, 1]) > 1.2).astype("float32")

model = tf.keras.Sequential(
    [
        tf.keras.Input((2,)),
        tf.keras.layers.Dense(32, activation="relu"),
        tf.keras.layers.Dense(32, activation="relu"),
        tf.keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(optimizer=tf.keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
model.fit(points[:1500], labels[:1500], epochs=10, batch_size=64, verbose=0)
loss, accuracy = model.evaluate(points[1500:], labels[1500:], verbose=0)

np.savez("weights.npz", *model.get_weights())
with open("metrics.json", "w") as file:
    json.dump({"accuracy": accuracy, "loss": loss}, file, indent=2)
print(f"accuracy {accuracy:.4f}")
