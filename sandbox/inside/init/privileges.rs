//! What is fixed or given up once, in pid 1, and inherited by the shim and the step.

use crate::channel::Channel;
use crate::kernel::{self, address};
use crate::namespaces;
use crate::plan::{AS_IT_IS, Limit, OPENING_BARE, Opening, Stage};
use crate::reader::Plan;
use crate::syscall::{Errno, Result, call, number};

const EINVAL: Errno = 22;

/// Gives up everything that setting up needed.
pub fn drop_all(channel: Channel, opening: &Opening, plan: &Plan) {
    let header = plan.header();
    namespaces::set_umask(header.umask);
    let directory = plan.text(header.directory).address();
    // SAFETY: the path is terminated.
    channel.check(Stage::Directory, unsafe {
        call(number::CHDIR, [directory])
    });
    for (index, limit) in plan.limits().iter().enumerate() {
        if let Err(error) = lower(limit) {
            channel.fail(Stage::Limits, error, index as u32);
        }
    }
    let processors = plan.bytes(header.processors);
    if !processors.is_empty() {
        // SAFETY: pointer and size come from one slice.
        let result = unsafe {
            call(
                number::SCHED_SETAFFINITY,
                [0, processors.len(), address(processors)],
            )
        };
        channel.check(Stage::Processors, result);
    }
    if header.personality != AS_IT_IS {
        let result = set_personality(header.personality);
        channel.check(Stage::Personality, result);
    }
    // Those of a container are its runtime's business, and dropping them may itself be refused.
    if opening.flags & OPENING_BARE == 0 {
        channel.check(Stage::Capabilities, drop_capabilities());
    }
    channel.check(Stage::NoNewPrivileges, refuse_new());
}

/// Sets `no_new_privs`, which the kernel wants before a filter.
pub fn refuse_new() -> Result<usize> {
    const PR_SET_NO_NEW_PRIVS: usize = 38;
    kernel::prctl(PR_SET_NO_NEW_PRIVS, 1, 0)
}

/// Fixes the execution domain.
pub fn set_personality(personality: u64) -> Result<usize> {
    // SAFETY: no pointers.
    unsafe { call(number::PERSONALITY, [personality as usize]) }
}

/// Lowers a limit to the wanted values. Nothing is raised: without CAP_SYS_RESOURCE on the host
/// the kernel would refuse, and a limit that somebody set on envbox holds for the step too.
fn lower(limit: &Limit) -> Result<()> {
    let mut current = [0_u64; 2];
    let out = core::ptr::from_mut(&mut current) as usize;
    // SAFETY: `out` is a writable struct rlimit64; a null new limit is allowed.
    unsafe { call(number::PRLIMIT64, [0, limit.resource as usize, 0, out]) }?;
    let hard = current[1].min(limit.hard);
    let wanted = [limit.soft.min(hard), hard];
    // SAFETY: `wanted` is a struct rlimit64; a null old limit is allowed.
    unsafe {
        call(
            number::PRLIMIT64,
            [0, limit.resource as usize, address(&wanted), 0],
        )
    }
    .map(drop)
}

fn drop_capabilities() -> Result<()> {
    const PR_CAPBSET_DROP: usize = 24;
    const PR_SET_SECUREBITS: usize = 28;
    const PR_CAP_AMBIENT: usize = 47;
    const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;
    // NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE with their locks, KEEP_CAPS locked off:
    // uid 0 means nothing inside, even if the policy maps to it.
    const SECUREBITS: usize = 0b1110_1111;
    kernel::prctl(PR_SET_SECUREBITS, SECUREBITS, 0)?;
    kernel::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0)?;
    for capability in 0..64 {
        match kernel::prctl(PR_CAPBSET_DROP, capability, 0) {
            Ok(_) => {}
            // Past the last capability that this kernel knows.
            Err(EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    // struct __user_cap_header_struct of version 3 for this process, and two empty sets.
    let header = [0x2008_0522_u32, 0];
    let none = [0_u32; 6];
    // SAFETY: header and sets have the layout of version 3.
    unsafe { call(number::CAPSET, [address(&header), address(&none)]) }.map(drop)
}
