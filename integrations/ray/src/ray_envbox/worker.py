"""What becomes of a Ray worker whose runtime environment has `envbox`: a stub.

Functions and classes stay pickled in it. It hands them to a sandbox with the arguments, as Ray's
store has those, and passes the results on. Names of Ray's that are not for others to use, all seen
in 2.60.0:

- `FunctionActorManager.fetch_registered_method`, `.fetch_and_register_remote_function`,
  `._load_actor_class_from_gcs`, `._load_function_from_local`, `._load_actor_class_from_local`,
  `._function_execution_info`, `._num_task_executions`, `FunctionExecutionInfo`,
  `make_function_table_key`, `KV_NAMESPACE_FUNCTION_TABLE`
- `SerializationContext._deserialize_pickle5_data`, `unpack_pickle5_buffers`
- `CoreWorker.current_actor_is_asyncio`, `.current_actor_max_concurrency`
- `global_worker.node`, `Node.get_session_dir_path`, in `sandbox`
"""

import json
import os
import pickle

import ray
from ray._private import function_manager, serialization
from ray._private.ray_constants import KV_NAMESPACE_FUNCTION_TABLE

from .options import Options
from .sandbox import EnvboxError, Sandbox, Sealed, run_once, session_directory

# What the plugin says to the worker.
VARIABLE = "RAY_ENVBOX"
_REPLACED = (
    "fetch_and_register_remote_function",
    "_load_actor_class_from_gcs",
    "_load_function_from_local",
    "_load_actor_class_from_local",
)


def install() -> None:
    """Ray runs this in the worker, after it has connected and before its first task."""
    worker = ray._private.worker.global_worker
    stub = _Stub(worker, os.environ.get(VARIABLE))
    manager = worker.function_actor_manager
    # One that another release calls by another name would not be replaced, and run code outside.
    missing = [name for name in _REPLACED if not hasattr(manager, name)]
    if missing or not hasattr(serialization.SerializationContext, "_deserialize_pickle5_data"):
        raise EnvboxError(
            125, f"this release of Ray, {ray.__version__}, has other inner names: take 2.60.0"
        )
    manager.fetch_and_register_remote_function = stub.register_function
    manager._load_actor_class_from_gcs = stub.actor_class
    manager._load_function_from_local = manager._load_actor_class_from_local = _no_local_code
    serialization.SerializationContext._deserialize_pickle5_data = _sealed


class _SealedObjects:
    def __init__(self, data):
        self._data = data

    def __getitem__(self, index: int) -> Sealed:
        return Sealed(*self._data, index)


def _sealed(_context, data, out_of_band_tensors):
    if out_of_band_tensors:
        raise EnvboxError(125, "tensors that travel outside Ray's store do not reach the sandbox")
    return _SealedObjects(serialization.unpack_pickle5_buffers(data))


def _no_local_code(_descriptor):
    raise EnvboxError(125, "`code_search_path` is for workers that run code themselves: leave it out")


class _Stub:
    def __init__(self, worker, said: str | None):
        self._worker, self._said, self._sandbox = worker, said, None

    def _told(self) -> tuple[Options, dict]:
        if self._said is None:
            raise EnvboxError(
                127,
                f"node {os.uname().nodename} has no plugin `envbox`: set `RAY_RUNTIME_ENV_PLUGINS` to "
                "what `ray_envbox.PLUGINS` says, and start Ray there again",
            )
        said = json.loads(self._said)
        surroundings = {**said["surroundings"], "scratch": session_directory()}
        return Options.of(said["options"]), surroundings

    def register_function(self, key) -> bool:
        """In place of Ray's, which would open the function."""
        manager = self._worker.function_actor_manager
        info = manager.fetch_registered_method(key)
        if not info:
            return False
        pickled = info.function

        def function(*args, **kwargs):
            options, surroundings = self._told()
            return run_once(options, pickled, args, kwargs, surroundings)

        function.__name__, function.__module__ = info.function_name, info.module
        identity = ray.FunctionID(info.function_id)
        with manager.lock:
            manager._num_task_executions[identity] = 0
            manager._function_execution_info[identity] = function_manager.FunctionExecutionInfo(
                function=function, function_name=info.function_name, max_calls=int(info.max_calls)
            )
        return True

    def actor_class(self, job_id, descriptor) -> type:
        """In place of Ray's: a class with the methods' names, each of which asks the sandbox."""
        identity = descriptor.function_id.binary()
        key = function_manager.make_function_table_key(b"ActorClass", job_id, identity)
        found = self._worker.gcs_client.internal_kv_get(key, KV_NAMESPACE_FUNCTION_TABLE)
        # Ray's own dictionary, in which the class is bytes.
        info = pickle.loads(found)
        names = json.loads(info["actor_method_names"])
        members = {name: self._method(name) for name in names if name not in _RAYS_OWN}
        members["__init__"] = self._initializer(info["class"])
        members.update(_RAYS_OWN, __module__=info["module"])
        return type(info["class_name"], (), members)

    def _initializer(self, pickled: bytes):
        def __init__(_actor, *args, **kwargs):
            core = self._worker.core_worker
            if core.current_actor_is_asyncio():
                raise _unfit("`async` methods: make them plain")
            if core.current_actor_max_concurrency() > 1:
                raise _unfit("`max_concurrency` above 1: leave it out")
            options, surroundings = self._told()
            self._sandbox = Sandbox(options, surroundings)
            self._sandbox.ask("create", pickled, args, kwargs)

        return __init__

    def _method(self, name: str):
        def method(_actor, *args, **kwargs):
            return self._sandbox.ask("method", name, args, kwargs)

        method.__name__ = name
        return method


def _unfit(what: str) -> EnvboxError:
    return EnvboxError(125, f"an actor cannot run in the sandbox with {what}")


async def _asynchronous(_actor):
    """Ray can start no actor with `async` methods whose class has none, not even to refuse it."""


def _ready(_actor) -> bool:
    return True


def _terminate(_actor) -> None:
    ray.actor.exit_actor()


_RAYS_OWN = {
    "__ray_ready__": _ready,
    "__ray_terminate__": _terminate,
    "_envbox_asynchronous": _asynchronous,
}
