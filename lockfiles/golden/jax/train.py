"""Fits a network with one hidden layer to handwritten digits, writes its weights and metrics."""

import json

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

images, labels = load_digits(return_X_y=True)
images = jnp.asarray(images / 16.0, dtype=jnp.float32)
labels = jnp.asarray(labels)
train, test = slice(0, 1400), slice(1400, None)


def initial(key, sizes):
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        (jax.random.normal(k, (m, n)) / jnp.sqrt(m), jnp.zeros(n))
        for k, m, n in zip(keys, sizes[:-1], sizes[1:])
    ]


def predict(weights, x):
    for matrix, bias in weights[:-1]:
        x = jnp.tanh(x @ matrix + bias)
    matrix, bias = weights[-1]
    return x @ matrix + bias


def loss(weights):
    likelihoods = jax.nn.log_softmax(predict(weights, images[train]))
    return -jnp.mean(likelihoods[jnp.arange(likelihoods.shape[0]), labels[train]])


@jax.jit
def step(weights):
    gradients = jax.grad(loss)(weights)
    return jax.tree.map(lambda w, g: w - 0.5 * g, weights, gradients)


weights = initial(jax.random.key(0), [64, 32, 10])
for _ in range(500):
    weights = step(weights)

accuracy = float(jnp.mean(predict(weights, images[test]).argmax(axis=1) == labels[test]))
np.savez("weights.npz", *[np.asarray(array) for layer in weights for array in layer])
with open("metrics.json", "w") as file:
    json.dump({"accuracy": accuracy, "loss": float(loss(weights))}, file, indent=2)
print(f"accuracy {accuracy:.4f}")
