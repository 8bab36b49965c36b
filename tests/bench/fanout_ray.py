"""Ray's part of `fanout.py`: tasks on two nodes, with a node that dies."""

import os
import sys
import time

from fanout import INTEGRATIONS, NODES, VICTIM, Watched

# Each node has so many processors.
CPUS = 4


def timed_call(envbox, manifest, options, call):
    """On a worker: a call in the sandbox, and what it took."""
    import resource

    from ray import cloudpickle
    from ray_envbox.options import Options
    from ray_envbox.sandbox import run_once

    os.environ["ENVBOX"] = envbox
    for name, value in options.items():
        os.environ[name] = value
    begin = time.time()
    function, args, kwargs = call
    value = run_once(Options(str(manifest)), cloudpickle.dumps(function), args, kwargs)
    return begin, time.time(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, value


def step():
    """The function of the example: of no module, so that it travels whole."""

    def fit(seed):
        import socket
        import time

        import numpy as np

        rng = np.random.default_rng(seed)
        x = rng.normal(size=(256, 8))
        y = x @ np.arange(8) + np.random.default_rng().normal(size=256)
        weights, *_ = np.linalg.lstsq(x, y, rcond=None)
        return socket.gethostname(), time.strftime("%F"), float(weights.sum())

    return fit


class Fan:
    def __init__(self, bench):
        import ray
        from ray.cluster_utils import Cluster

        self.bench, self.scratch, self.tasks = bench, bench.scratch, bench.options.tasks
        self.ray = ray
        self.project = bench.prepare("ray")
        os.environ["PYTHONPATH"] = str(INTEGRATIONS / "ray" / "src")
        sys.path.insert(0, os.environ["PYTHONPATH"])
        # Wherever its files are, Ray writes the cluster's address here.
        os.makedirs("/tmp/ray", exist_ok=True)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self.cluster = Cluster(initialize_head=True, head_node_args={
            "num_cpus": 0, "include_dashboard": False, "temp_dir": str(self.scratch / "ray")})
        self.nodes = {}

    def all(self):
        """The three fans; results must be the same in those that run inside."""
        registry = Watched(self.scratch)
        try:
            for node in NODES:
                self.nodes[node] = self.cluster.add_node(num_cpus=CPUS)
            self.ray.init(address=self.cluster.address, log_to_driver=False)
            self.fan("ray plain", None)
            shared = self.fan("ray shared store", {node: str(self.bench.shared) for node in NODES})
            self.bench.check_left("ray shared store", [self.bench.shared])
            images = self.bench.publish(self.project, registry)
            # The plugin asks for no images: the user's configuration names them.
            config = self.scratch / "config" / "envbox"
            config.mkdir(parents=True)
            (config / "config.toml").write_text(f'images = "{images}"\n')
            name = "ray own stores, one dies"
            stores = {node: str(self.scratch / "ray-stores" / node) for node in NODES}
            own = self.fan(name, stores, kill=True, config=str(config.parent))
            self.bench.check_fetches(name, registry, len(NODES))
            self.bench.check_left(name, [stores[node] for node in NODES if node != VICTIM])
            if own != shared:
                self.bench.faults.append(f"{name}: other results than with one store")
        finally:
            registry.stop()
            self.ray.shutdown()
            self.cluster.shutdown()

    def fan(self, name, stores, kill=False, config=None):
        """Runs all tasks to their end, and returns their results in order."""
        ray, manifest, envbox = self.ray, self.project / "envbox.toml", self.bench.envbox
        nodes = {handle.node_id: node for node, handle in self.nodes.items()}

        @ray.remote(num_cpus=1, max_retries=3)
        def task(number):
            node = nodes[ray.get_runtime_context().get_node_id()]
            if stores is None:
                begin = time.time()
                value = number
                return number, node, begin, time.time(), 0, value
            options = {"ENVBOX_STORE": stores[node]}
            if config:
                options["XDG_CONFIG_HOME"] = config
            return number, node, *timed_call(envbox, manifest, options, (step(), (number,), {}))

        begin = time.time()
        waiting, rows, values, killed = [task.remote(n) for n in range(1, self.tasks + 1)], [], {}, not kill
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1, timeout=60)
            for number, node, started, ended, kib, value in ray.get(done):
                rows.append({"task": number, "node": node, "begin": started, "end": ended, "kib": kib})
                values[number] = value
            ended = [row["node"] for row in rows]
            if not killed and len(ended) >= self.tasks // 3 and VICTIM in ended:
                killed = True
                self.cluster.remove_node(self.nodes.pop(VICTIM), allow_graceful=False)
        self.bench.tell(name, rows, time.time() - begin, self.tasks)
        return values
