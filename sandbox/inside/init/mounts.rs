//! The tree of mounts: a clone of the rootfs, the operations of the plan on it, `pivot_root`.

use core::mem::size_of;

use crate::channel::Channel;
use crate::kernel::{
    self, AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, O_CLOEXEC, O_CREAT, O_NOFOLLOW, O_PATH, O_WRONLY,
    Text, address,
};
use crate::plan::{
    MADE, OPENING_PROBE, OPERATION_ATTRIBUTES, OPERATION_BIND, OPERATION_DIRECTORY, OPERATION_FIFO,
    OPERATION_FILE, OPERATION_FLAG_GUEST, OPERATION_FLAG_OPTIONAL, OPERATION_HOLD, OPERATION_LINK,
    OPERATION_MOUNT, OPERATION_REBIND, OPERATION_ROOT, OPERATION_TIMES, Opening, Operation, Report,
    Stage,
};
use crate::reader::Plan;
use crate::syscall::{Errno, Result, call, number};

const MS_PRIVATE: u64 = 1 << 18;
const ENOENT: Errno = 2;
const EEXIST: Errno = 17;
const EXDEV: Errno = 18;
const EINVAL: Errno = 22;

/// `struct mount_attr`.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Makes the tree, enters it, and has the starter take the host's tree away.
pub fn build(channel: Channel, opening: &Opening, plan: &Plan, starter: Channel) {
    let root = channel.check(Stage::Rootfs, attach_root(plan));
    for (index, operation) in plan.operations().iter().enumerate() {
        let result = match perform(plan, root, operation) {
            Err(ENOENT) if operation.flags & OPERATION_FLAG_OPTIONAL != 0 => Ok(()),
            result => result,
        };
        if let Err(error) = result {
            channel.fail(Stage::Mounts, error, index as u32);
        }
    }
    // A probe looks at what can be mounted and leaves the root as it is.
    if opening.flags & OPENING_PROBE == 0 {
        channel.check(Stage::PivotRoot, enter(root));
        channel.check(Stage::PivotRoot, starter.send(Report::default(), -1));
    }
}

/// Clones the rootfs and mounts the clone over the rootfs itself: that needs no other directory
/// of the host, and `pivot_root` wants a mount point.
fn attach_root(plan: &Plan) -> Result<i32> {
    let path = plan.text(plan.header().rootfs);
    let place = kernel::open(AT_FDCWD, path, O_PATH, 0)?;
    let tree = clone_tree(place, Text::from(c""), AT_EMPTY_PATH | AT_RECURSIVE)?;
    set_attributes(
        tree,
        plan.header().root_attributes,
        MS_PRIVATE,
        AT_RECURSIVE,
    )?;
    attach(tree, place)?;
    kernel::close(place);
    Ok(tree)
}

/// Makes the tree at `root` the root, with the host's over it.
fn enter(root: i32) -> Result<()> {
    let here = Text::from(c".");
    // SAFETY: fchdir takes no pointers.
    unsafe { call(number::FCHDIR, [root as usize]) }?;
    // The old root is stacked on the new one at the same place, so no directory is needed for it.
    // SAFETY: both paths are terminated.
    unsafe { call(number::PIVOT_ROOT, [here.address(), here.address()]) }?;
    kernel::close(root);
    Ok(())
}

/// Takes the host's tree away, of which `host` is the root.
///
/// When it is gone from the tree of mounts the kernel still waits, often for half a millisecond, until
/// nobody looks at it any more. So the starter does this, while pid 1 goes on.
pub fn detach(host: i32) -> Result<()> {
    const MNT_DETACH: usize = 2;
    // SAFETY: fchdir takes no pointers.
    unsafe { call(number::FCHDIR, [host as usize]) }?;
    let here = Text::from(c".").address();
    // SAFETY: the path is terminated.
    unsafe { call(number::UMOUNT2, [here, MNT_DETACH]) }.map(drop)
}

/// Waits until the host's tree is gone: as long as it is there, `..` of the root leads to it.
pub fn wait_until_detached(starter: Channel) -> Result<()> {
    loop {
        // Asked first: it may do its work and end between the two.
        let works = starter.is_open();
        match kernel::open_on_this_mount(Text::from(c"/..")) {
            Err(EXDEV) if works => kernel::yield_now(),
            result => break result.map(kernel::close),
        }
    }
}

fn perform(plan: &Plan, root: i32, operation: &Operation) -> Result<()> {
    match operation.kind {
        OPERATION_BIND | OPERATION_REBIND => bind(plan, root, operation),
        OPERATION_MOUNT => mount(plan, root, operation),
        OPERATION_ROOT => mount_root(plan, root, operation),
        OPERATION_TIMES => set_times(plan, root, operation),
        OPERATION_HOLD => hold(plan, root, operation),
        OPERATION_DIRECTORY | OPERATION_FILE | OPERATION_FIFO | OPERATION_LINK => {
            create(plan, root, operation)
        }
        OPERATION_ATTRIBUTES => {
            let target = kernel::open_inside(root, plan.text(operation.target))?;
            // Only this mount: what is mounted below keeps its own attributes.
            set_attributes(target, operation.value, 0, 0)?;
            kernel::close(target);
            Ok(())
        }
        _ => Err(EINVAL),
    }
}

/// Mounts a clone of a tree of the host's or of the sandbox's own.
fn bind(plan: &Plan, root: i32, operation: &Operation) -> Result<()> {
    // The target first: a clone that is made in vain costs the kernel a grace period to take apart.
    let target = kernel::open_inside(root, plan.text(operation.target))?;
    let source = plan.text(operation.source);
    let tree = if operation.kind == OPERATION_BIND {
        clone_tree(AT_FDCWD, source, AT_RECURSIVE)?
    } else {
        let source = kernel::open_inside(root, source)?;
        let tree = clone_tree(source, Text::from(c""), AT_EMPTY_PATH | AT_RECURSIVE)?;
        kernel::close(source);
        tree
    };
    set_attributes(tree, operation.value, MS_PRIVATE, AT_RECURSIVE)?;
    attach(tree, target)?;
    kernel::close(tree);
    kernel::close(target);
    Ok(())
}

/// Makes a new filesystem and mounts it.
fn mount(plan: &Plan, root: i32, operation: &Operation) -> Result<()> {
    // As in `bind`: there may be nothing to mask.
    let target = kernel::open_inside(root, plan.text(operation.target))?;
    let made = operation.name as i32;
    let tree = match made != 0 && attach(made, target).is_ok() {
        true => made,
        false => {
            let tree = make(plan, operation)?;
            attach(tree, target)?;
            tree
        }
    };
    kernel::close(tree);
    kernel::close(target);
    Ok(())
}

/// Makes filesystems before it is known where they are mounted.
pub fn prepare(plan: &Plan) {
    for (number, operation) in (MADE as i32..).zip(plan.operations()) {
        if let Ok(tree) = make(plan, operation) {
            let _ = kernel::duplicate(tree, number, O_CLOEXEC);
            kernel::close(tree);
        }
    }
}

/// Makes a new filesystem and mounts it over the root. Paths are resolved in it from then on: it
/// takes the number that the root had.
fn mount_root(plan: &Plan, root: i32, operation: &Operation) -> Result<()> {
    let tree = make(plan, operation)?;
    attach(tree, root)?;
    kernel::duplicate(tree, root, O_CLOEXEC)?;
    kernel::close(tree);
    Ok(())
}

/// Sets both times of a file or directory.
fn set_times(plan: &Plan, root: i32, operation: &Operation) -> Result<()> {
    let target = kernel::open_inside(root, plan.text(operation.target))?;
    let times = [operation.value, 0, operation.value, 0];
    let empty = Text::from(c"").address();
    let arguments = [target as usize, empty, address(&times), AT_EMPTY_PATH];
    // SAFETY: the path is terminated, and the times have the layout of two `struct timespec`.
    let result = unsafe { call(number::UTIMENSAT, arguments) };
    kernel::close(target);
    result.map(drop)
}

/// Makes a new filesystem, mounted nowhere yet.
fn make(plan: &Plan, operation: &Operation) -> Result<i32> {
    const FLAG: usize = 0;
    const STRING: usize = 1;
    const CREATE: usize = 6;
    const CLOEXEC: usize = 1;
    let kind = plan.text(operation.source).address();
    // SAFETY: the type is terminated.
    let context = unsafe { call(number::FSOPEN, [kind, CLOEXEC]) }?;
    for parameter in plan.parameters(operation) {
        let key = plan.text(parameter.key).address();
        let (command, value) = match parameter.value {
            0 => (FLAG, 0),
            offset => (STRING, plan.text(offset).address()),
        };
        // SAFETY: key and value are terminated; a flag takes no value.
        unsafe { call(number::FSCONFIG, [context, command, key, value, 0]) }?;
    }
    // SAFETY: creating takes neither key nor value.
    unsafe { call(number::FSCONFIG, [context, CREATE, 0, 0, 0]) }?;
    // SAFETY: no pointers.
    let tree = unsafe {
        call(
            number::FSMOUNT,
            [context, CLOEXEC, operation.value as usize],
        )
    }? as i32;
    kernel::close(context as i32);
    Ok(tree)
}

fn hold(plan: &Plan, root: i32, operation: &Operation) -> Result<()> {
    let path = plan.text(operation.source);
    let descriptor = if operation.flags & OPERATION_FLAG_GUEST != 0 {
        kernel::open_inside(root, path)?
    } else {
        kernel::open(AT_FDCWD, path, O_PATH, 0)?
    };
    kernel::duplicate(descriptor, operation.value as i32, O_CLOEXEC)?;
    kernel::close(descriptor);
    Ok(())
}

/// Creates an entry in a directory of the sandbox. The directory is resolved inside the rootfs
/// and the name is a single component, so a link in the rootfs cannot lead to the host.
fn create(plan: &Plan, root: i32, operation: &Operation) -> Result<()> {
    let parent = kernel::open_inside(root, plan.text(operation.target))?;
    let name = plan.text(operation.name);
    let mode = operation.value as usize;
    let result = match operation.kind {
        // SAFETY: the name is terminated.
        OPERATION_DIRECTORY => unsafe {
            call(number::MKDIRAT, [parent as usize, name.address(), mode]).map(drop)
        },
        OPERATION_LINK => {
            let content = plan.text(operation.source).address();
            // SAFETY: content and name are terminated.
            unsafe {
                call(
                    number::SYMLINKAT,
                    [content, parent as usize, name.address()],
                )
            }
            .map(drop)
        }
        OPERATION_FIFO => {
            const FIFO: usize = 0o010_000;
            // SAFETY: the name is terminated.
            unsafe {
                call(
                    number::MKNODAT,
                    [parent as usize, name.address(), FIFO | mode, 0],
                )
            }
            .map(drop)
        }
        _ => {
            let flags = O_CREAT | O_NOFOLLOW | O_WRONLY;
            kernel::open(parent, name, flags, mode).and_then(|file| {
                let content = plan.bytes(operation.parameters);
                let result = match content {
                    b"" => Ok(()),
                    bytes => kernel::write(file, bytes),
                };
                kernel::close(file);
                result
            })
        }
    };
    kernel::close(parent);
    match result {
        Err(EEXIST) => Ok(()),
        result => result,
    }
}

fn clone_tree(directory: i32, path: Text<'_>, flags: usize) -> Result<i32> {
    const OPEN_TREE_CLONE: usize = 1;
    let flags = flags | OPEN_TREE_CLONE | O_CLOEXEC;
    // SAFETY: the path is terminated.
    unsafe {
        call(
            number::OPEN_TREE,
            [directory as usize, path.address(), flags],
        )
    }
    .map(|fd| fd as i32)
}

fn set_attributes(tree: i32, set: u64, propagation: u64, flags: usize) -> Result<()> {
    let attributes = Attributes {
        set,
        clear: 0,
        propagation,
        user_namespace: 0,
    };
    let arguments = [
        tree as usize,
        Text::from(c"").address(),
        flags | AT_EMPTY_PATH,
        address(&attributes),
        size_of::<Attributes>(),
    ];
    // SAFETY: the path is terminated and the attributes are as long as said.
    unsafe { call(number::MOUNT_SETATTR, arguments) }.map(drop)
}

fn attach(tree: i32, target: i32) -> Result<()> {
    const FROM_EMPTY_PATH: usize = 4;
    const TO_EMPTY_PATH: usize = 0x40;
    let empty = Text::from(c"").address();
    let flags = FROM_EMPTY_PATH | TO_EMPTY_PATH;
    // SAFETY: both paths are terminated.
    unsafe {
        call(
            number::MOVE_MOUNT,
            [tree as usize, empty, target as usize, empty, flags],
        )
    }
    .map(drop)
}
