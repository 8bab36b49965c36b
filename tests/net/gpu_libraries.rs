//! What Python processes tell of the libraries for GPUs that they had loaded.

use crate::downloads;
use crate::support::{User, World};

const MANIFEST: &str = "[environment]\nname = \"cudart\"\npython = \"3.11\"\n\
    [python]\nrequirements = [\"nvidia-cuda-runtime-cu12==12.4.127\"]\n\
    [debian]\nsecurity = false\n";

/// The runtime of CUDA tells its version without a driver.
const STEP: &str = "import ctypes, glob, _envbox.gpu as gpu\n\
    [path] = glob.glob('/opt/env/lib/python3*/site-packages/nvidia/cuda_runtime/lib/libcudart.so.12')\n\
    ctypes.CDLL(path)\n\
    [(name, found)] = gpu.mapped().items()\n\
    print(name, found == path, gpu.LIBRARIES[name](ctypes.CDLL(found)))\n";

#[test]
fn net_a_library_for_gpus_tells_its_version() {
    let world = World::new(User::Unprivileged);
    world.write("envbox.toml", MANIFEST);
    world.write("step.py", STEP);
    downloads::share(&world);
    let run = world.run(&["run", "--", "python", "step.py"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(run.stdout(), "libcudart True 12040\n");
    downloads::keep(&world);
}
