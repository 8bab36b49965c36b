"""Fits a network with one hidden layer to a sine, writes its weights and the loss."""

import json

import jax
import jax.numpy as jnp
import numpy as np

inputs = jnp.linspace(-3.0, 3.0, 512).reshape(-1, 1)
targets = jnp.sin(2.0 * inputs)


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
    return jnp.mean((predict(weights, inputs) - targets) ** 2)


@jax.jit
def step(weights):
    gradients = jax.grad(loss)(weights)
    return jax.tree.map(lambda w, g: w - 0.05 * g, weights, gradients)


weights = initial(jax.random.key(0), [1, 64, 1])
for _ in range(2000):
    weights = step(weights)

final = float(loss(weights))
np.savez("weights.npz", *[np.asarray(array) for layer in weights for array in layer])
with open("metrics.json", "w") as file:
    json.dump({"loss": final}, file, indent=2)
print(f"loss {final:.6f}")
