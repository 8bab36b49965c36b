//! The seccomp filter: a table with a reason for each rule, and its translation.
//!
//! The namespaces and the lack of capabilities already hold most of this; the filter is the second
//! wall, and keeps kernel interfaces that steps do not need out of reach of their bugs. Everything
//! not named is allowed: nested user namespaces (browsers, nested sandboxes) and ptrace (debuggers)
//! work. Rules depend on the call number alone where possible, because the kernel then answers
//! them from a bitmap without running the filter (Linux 5.11).

use libc::{EAFNOSUPPORT, EINVAL, ENOSYS, EPERM};

use crate::init::filter::{self, Rule, Test, Verdict};

/// One denied call.
struct Denied {
    call: libc::c_long,
    /// If present, the rule only holds if the low 32 bits of this argument have this value.
    argument: Option<(u32, u32)>,
    errno: i32,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "documentation that a test demands")
    )]
    why: &'static str,
}

impl Denied {
    fn rule(&self) -> Rule {
        let test = self.argument.map(|(index, value)| Test::Is(index, value));
        Rule {
            call: self.call,
            tests: test.into_iter().collect(),
            verdict: Verdict::Error(self.errno),
        }
    }
}

const fn deny(call: libc::c_long, why: &'static str) -> Denied {
    Denied {
        call,
        argument: None,
        errno: EPERM,
        why,
    }
}

const fn absent(call: libc::c_long, why: &'static str) -> Denied {
    Denied {
        call,
        argument: None,
        errno: ENOSYS,
        why,
    }
}

const fn deny_if(
    call: libc::c_long,
    argument: (u32, u32),
    errno: i32,
    why: &'static str,
) -> Denied {
    Denied {
        call,
        argument: Some(argument),
        errno,
        why,
    }
}

/// `TIOCLINUX`, which libc does not name.
const TIOCLINUX: u32 = 0x541c;

const RULES: &[Denied] = &[
    deny(libc::SYS_kexec_load, "replaces the host's kernel"),
    deny(libc::SYS_kexec_file_load, "replaces the host's kernel"),
    deny(libc::SYS_reboot, "reboots, in a pid namespace kills init"),
    deny(libc::SYS_init_module, "loads code into the host's kernel"),
    deny(libc::SYS_finit_module, "loads code into the host's kernel"),
    deny(
        libc::SYS_delete_module,
        "unloads code from the host's kernel",
    ),
    deny(libc::SYS_swapon, "changes the host's swap"),
    deny(libc::SYS_swapoff, "changes the host's swap"),
    deny(libc::SYS_acct, "changes the host's accounting"),
    deny(libc::SYS_quotactl, "changes the host's quotas"),
    deny(libc::SYS_quotactl_fd, "changes the host's quotas"),
    deny(libc::SYS_settimeofday, "sets the host's clock"),
    deny_if(
        libc::SYS_clock_settime,
        (0, libc::CLOCK_MONOTONIC as u32),
        EINVAL,
        "nobody can set that one, and POSIX says by which error that is told",
    ),
    deny(libc::SYS_clock_settime, "sets the host's clock"),
    deny(
        libc::SYS_clock_adjtime,
        "reads and tunes the host's clock discipline",
    ),
    deny(
        libc::SYS_adjtimex,
        "reads and tunes the host's clock discipline",
    ),
    deny(libc::SYS_syslog, "reads the host's kernel log"),
    deny(libc::SYS_iopl, "gives access to the host's ports"),
    deny(libc::SYS_ioperm, "gives access to the host's ports"),
    deny(libc::SYS_vhangup, "hangs the host's terminal up"),
    deny(
        libc::SYS_add_key,
        "kernel keyrings are not namespaced by user id alone",
    ),
    deny(
        libc::SYS_keyctl,
        "kernel keyrings are not namespaced by user id alone",
    ),
    deny(
        libc::SYS_request_key,
        "starts a helper on the host to fetch a key",
    ),
    deny(libc::SYS_bpf, "runs code in the host's kernel"),
    deny(
        libc::SYS_perf_event_open,
        "observes the host; large attack surface",
    ),
    deny(
        libc::SYS_userfaultfd,
        "lets a process stall the kernel in the middle of a copy",
    ),
    deny(
        libc::SYS_open_by_handle_at,
        "opens files by inode, past the tree of mounts",
    ),
    deny(
        libc::SYS_fanotify_init,
        "observes whole filesystems of the host",
    ),
    absent(
        libc::SYS_io_uring_setup,
        "does calls that no filter sees; libraries fall back",
    ),
    absent(
        libc::SYS_io_uring_enter,
        "does calls that no filter sees; libraries fall back",
    ),
    absent(
        libc::SYS_io_uring_register,
        "does calls that no filter sees; libraries fall back",
    ),
    absent(
        libc::SYS_lookup_dcookie,
        "profiling of the host; gone since Linux 6.7",
    ),
    deny_if(
        libc::SYS_ioctl,
        (1, libc::TIOCSTI as u32),
        EPERM,
        "types into a terminal (CVE-2017-5226; low 32 bits: CVE-2019-10063)",
    ),
    deny_if(
        libc::SYS_ioctl,
        (1, TIOCLINUX),
        EPERM,
        "types into a console (CVE-2023-28100)",
    ),
    deny_if(
        libc::SYS_socket,
        (0, libc::AF_VSOCK as u32),
        EAFNOSUPPORT,
        "reaches the hypervisor: vsock is not in the network namespace",
    ),
];

/// Returns the filter, with the calls by which the supervisor is asked: to these it gives the answer,
/// whatever the table says.
pub fn filter(asked: &[Rule]) -> Vec<u64> {
    let answered = |call| {
        asked
            .iter()
            .any(|rule| rule.call == call && rule.tests.is_empty())
    };
    let denied = RULES.iter().filter(|rule| !answered(rule.call));
    let denied: Vec<Rule> = denied.map(Denied::rule).collect();
    filter::assemble(denied.iter().chain(asked))
}

#[cfg(test)]
mod tests {
    use super::{ENOSYS, EPERM, RULES, TIOCLINUX, filter};
    use crate::init::filter::{abi, judge as run};

    fn judge(arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        run(&filter(&[]), arch, number, arguments)
    }

    #[test]
    fn every_rule_has_a_reason_and_holds() {
        for rule in RULES {
            assert!(!rule.why.is_empty());
            let mut arguments = [0; 6];
            if let Some((index, value)) = rule.argument {
                arguments[index as usize] = u64::from(value) | 1 << 32;
            }
            let verdict = judge(abi::AUDIT_ARCH_X86_64, rule.call as u32, arguments);
            assert_eq!(verdict, abi::RET_ERRNO | rule.errno as u32, "{}", rule.why);
        }
    }

    #[test]
    fn the_rest_is_allowed() {
        let denied: Vec<u32> = RULES
            .iter()
            .filter(|rule| rule.argument.is_none())
            .map(|r| r.call as u32)
            .collect();
        for number in (0..600).filter(|number| !denied.contains(number)) {
            assert_eq!(
                judge(abi::AUDIT_ARCH_X86_64, number, [0; 6]),
                abi::RET_ALLOW
            );
        }
        let ioctl = |request| {
            judge(
                abi::AUDIT_ARCH_X86_64,
                libc::SYS_ioctl as u32,
                [0, request, 0, 0, 0, 0],
            )
        };
        assert_eq!(ioctl(libc::TCGETS), abi::RET_ALLOW);
        assert_eq!(ioctl(u64::from(TIOCLINUX)), abi::RET_ERRNO | EPERM as u32);
    }

    #[test]
    fn other_architectures_are_refused() {
        const AUDIT_ARCH_I386: u32 = 0x4000_0003;
        assert_eq!(judge(AUDIT_ARCH_I386, 1, [0; 6]), abi::RET_KILL_PROCESS);
        let x32 = judge(abi::AUDIT_ARCH_X86_64, abi::X32 | 1, [0; 6]);
        assert_eq!(x32, abi::RET_ERRNO | ENOSYS as u32);
    }
}
