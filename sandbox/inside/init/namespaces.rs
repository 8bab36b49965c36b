//! Entering the namespaces and giving them their fixed contents.

use crate::channel::Channel;
use crate::kernel::{self, address};
use crate::plan::{OPENING_LOOPBACK, Opening, Report, ShortText, Stage};
use crate::reader::Plan;
use crate::syscall::{Errno, Result, call, number};

const CLONE_NEWUSER: u64 = 0x1000_0000;
const EPERM: Errno = 1;

/// The network namespace: made apart from the others, see [`make_network`].
pub const NETWORK: u64 = 0x4000_0000;

/// Enters all namespaces but the network's. The pid and time namespaces take effect for the next child.
pub fn enter(channel: Channel, opening: &Opening) {
    // Groups of a privileged caller would show inside as unmapped ones; others may not drop them.
    // SAFETY: no groups, so no pointer.
    match unsafe { call(number::SETGROUPS, [0, 0]) } {
        Ok(_) | Err(EPERM) => {}
        Err(error) => channel.fail(Stage::UserNamespace, error, 0),
    }
    channel.check(Stage::UserNamespace, kernel::unshare(CLONE_NEWUSER));
    // The kernel takes a gid map from an unprivileged writer only after this (CVE-2014-8989).
    channel.check(
        Stage::IdentityMaps,
        kernel::write_file(c"/proc/self/setgroups", b"deny"),
    );
    channel.check(
        Stage::IdentityMaps,
        kernel::write_file(c"/proc/self/uid_map", text(&opening.uid_map)),
    );
    channel.check(
        Stage::IdentityMaps,
        kernel::write_file(c"/proc/self/gid_map", text(&opening.gid_map)),
    );
    channel.check(
        Stage::Namespaces,
        kernel::unshare(opening.namespaces & !NETWORK),
    );
    // Only while the time namespace is still empty can its offsets be set.
    let offsets = text(&opening.clock_offsets);
    if !offsets.is_empty() {
        let result = kernel::write_file(c"/proc/self/timens_offsets", offsets);
        channel.check(Stage::ClockOffsets, result);
    }
    // After the writes above, because the files in /proc of a process that is not dumpable belong
    // to root.
    hide(channel);
}

fn text(text: &ShortText) -> &[u8] {
    text.bytes.get(..text.size as usize).unwrap_or_default()
}

/// Makes init not dumpable. A step has our user id: it must not trace init or read its memory.
pub fn hide(channel: Channel) {
    const PR_SET_DUMPABLE: usize = 4;
    channel.check(Stage::Namespaces, kernel::prctl(PR_SET_DUMPABLE, 0, 0));
}

/// Sets the host name.
pub fn set_names(channel: Channel, plan: &Plan) {
    let header = plan.header();
    // Modes given in the plan are meant exactly.
    set_umask(0);
    let name = plan.bytes(header.hostname);
    // SAFETY: the pointer and the length come from one slice.
    let result = unsafe { call(number::SETHOSTNAME, [address(name), name.len()]) };
    channel.check(Stage::Hostname, result);
    let name = plan.bytes(header.domainname);
    // SAFETY: as above.
    let result = unsafe { call(number::SETDOMAINNAME, [address(name), name.len()]) };
    channel.check(Stage::Hostname, result);
}

/// Makes the network namespace and sends it to pid 1.
pub fn make_network(channel: Channel, opening: &Opening, to: Channel) {
    const AF_INET: usize = 2;
    const SOCK_DGRAM_CLOEXEC: usize = 2 | 0o2_000_000;
    const SIOCGSKNS: usize = 0x894c;
    channel.check(Stage::Namespaces, kernel::unshare(NETWORK));
    // SAFETY: no pointers.
    let socket = unsafe { call(number::SOCKET, [AF_INET, SOCK_DGRAM_CLOEXEC, 0]) };
    let socket = channel.check(Stage::Namespaces, socket);
    if opening.flags & OPENING_LOOPBACK != 0 {
        channel.check(Stage::Loopback, bring_loopback_up(socket));
    }
    // Not by /proc/self: pid 1 may have changed the root of us both by now.
    // SAFETY: this ioctl takes no argument.
    let namespace = unsafe { call(number::IOCTL, [socket, SIOCGSKNS, 0]) };
    let namespace = channel.check(Stage::Namespaces, namespace) as i32;
    channel.check(Stage::Namespaces, to.send(Report::default(), namespace));
}

/// Enters the network namespace that comes through a channel, if there is to be one.
pub fn join_network(channel: Channel, opening: &Opening, from: Channel) {
    if opening.namespaces & NETWORK == 0 {
        return;
    }
    // The other process has told the supervisor why, if there is none.
    let Ok(namespace) = from.receive_descriptor() else {
        kernel::exit(1)
    };
    // SAFETY: no pointers.
    let result = unsafe { call(number::SETNS, [namespace as usize, NETWORK as usize]) };
    channel.check(Stage::Namespaces, result);
    kernel::close(namespace);
}

/// Sets the file mode creation mask.
pub fn set_umask(mask: u64) {
    // SAFETY: no pointers; this call cannot fail.
    let _ = unsafe { call(number::UMASK, [mask as usize]) };
}

/// The kernel gives the interface 127.0.0.1 and ::1 when it comes up.
fn bring_loopback_up(socket: usize) -> Result<()> {
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP: u8 = 1;
    // struct ifreq: 16 bytes of name, then a union whose first short is the flags.
    let mut request = [0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = IFF_UP;
    // SAFETY: `request` is a complete struct ifreq.
    unsafe { call(number::IOCTL, [socket, SIOCSIFFLAGS, address(&request)]) }.map(drop)
}
