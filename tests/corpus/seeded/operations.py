"""Compiles and runs operations of each kind, and prints digests of what they give."""
import hashlib

import jax
import jax.numpy as jnp
import numpy

key = jax.random.key(0)
x = jax.random.normal(key, (64, 48))


def tell(name, value):
    print(name, hashlib.sha256(numpy.asarray(value).tobytes()).hexdigest()[:16])


for name, operation in {
    "matmul": lambda x: x @ x.T,
    "exp": jnp.exp, "log": lambda x: jnp.log(jnp.abs(x)), "tanh": jnp.tanh, "sin": jnp.sin,
    "rsqrt": lambda x: 1 / jnp.sqrt(9 * jnp.abs(x) + 1), "pow": lambda x: jnp.abs(x) ** 1.7, "erf": jax.scipy.special.erf, "softmax": jax.nn.softmax,
    "sum": jnp.sum, "var": lambda x: jnp.var(x, axis=0), "cumsum": lambda x: jnp.cumsum(x, axis=1),
    "sort": lambda x: jnp.sort(x, axis=1), "dot": lambda x: jnp.vdot(x, x), "gelu": jax.nn.gelu,
    "conv": lambda x: jax.lax.conv_general_dilated(x.reshape(4, 3, 16, 16), x[:6, :27].reshape(6, 3, 3, 3), (1, 1), "SAME"),
    "qr": lambda x: jnp.linalg.qr(x)[0], "svd": lambda x: jnp.linalg.svd(x)[1],
    "solve": lambda x: jnp.linalg.solve(x[:48] @ x[:48].T + 9 * jnp.eye(48), x[:48, 0]),
    "cholesky": lambda x: jnp.linalg.cholesky(x.T @ x + jnp.eye(48)), "fft": lambda x: jnp.fft.fft(x).real,
    "gamma": lambda x: jax.random.gamma(key, jnp.abs(x) + 1),
}.items():
    tell(name, jax.jit(operation)(x))


def loss(weights):
    return jnp.mean((jnp.tanh(x @ weights[0]) @ weights[1] - jnp.sin(x[:, :1])) ** 2)


weights = [jax.random.normal(key, (48, 16)) / 7, jax.random.normal(key, (16, 1)) / 4]
step = jax.jit(lambda weights: [w - 0.1 * g for w, g in zip(weights, jax.grad(loss)(weights))])
for _ in range(100):
    weights = step(weights)
tell("trained", jnp.concatenate([w.ravel() for w in weights]))
