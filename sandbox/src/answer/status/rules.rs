//! The calls that look at files or change them.

use super::Looks;
use super::change::WRITABLE;
use crate::answer::sites;
use crate::init::filter::{Rule, Test, Verdict};

/// Returns the rules by which we are asked.
pub fn rules(looks: &Looks) -> Vec<Rule> {
    const NAMESPACES: u32 = (libc::CLONE_NEWNS | libc::CLONE_NEWUSER) as u32;
    let ask = |(call, tests)| Rule {
        call,
        tests,
        verdict: Verdict::Ask,
    };
    let not_ours = || vec![sites::NOT_OURS];
    let files = LOOKS.iter().map(|call| (*call, not_ours()));
    let changes = CHANGES.iter().chain(&TIMES).map(|call| (*call, Vec::new()));
    let opens = [
        (libc::SYS_open, vec![Test::Any(1, WRITABLE)]),
        (libc::SYS_openat, vec![Test::Any(2, WRITABLE)]),
    ];
    let leaves = [libc::SYS_chroot, libc::SYS_pivot_root, libc::SYS_setns];
    let leaves = leaves.map(|call| (call, Vec::new()));
    let enters = [libc::SYS_unshare, libc::SYS_clone];
    let enters = enters.map(|call| (call, vec![Test::Any(0, NAMESPACES)]));
    let all = files.chain(opens).chain(changes);
    let mut rules: Vec<Rule> = all.chain(leaves).chain(enters).map(ask).collect();
    if looks.whole {
        rules.extend(SPACES.map(|call| ask((call, Vec::new()))));
    }
    // Its flags are in memory, where no filter sees them; libraries fall back to `clone`.
    rules.push(Rule {
        call: libc::SYS_clone3,
        tests: Vec::new(),
        verdict: Verdict::Error(libc::ENOSYS),
    });
    rules
}

/// Calls that tell of a file.
pub const LOOKS: [libc::c_long; 5] = [
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
];

/// Calls that tell of its file system.
pub const SPACES: [libc::c_long; 2] = [libc::SYS_statfs, libc::SYS_fstatfs];

/// Calls that change a file or a directory, beside some of `open` and `openat`.
const CHANGES: [libc::c_long; 18] = [
    libc::SYS_openat2,
    libc::SYS_creat,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_symlink,
    libc::SYS_symlinkat,
    libc::SYS_mknod,
    libc::SYS_mknodat,
];

/// Calls that set the times of a file.
const TIMES: [libc::c_long; 4] = [
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_utimensat,
];
