//! Ports that nobody chose.
//!
//! Comes in: a call that lets the kernel choose a port: `bind` to port 0, and `listen` or `connect` of
//! a socket that has none. The kernel takes a random one (`inet_csk_find_open_port`,
//! `__inet_hash_connect`). Goes out: the socket is bound to one that follows from the seed, the process
//! and how many it had before, so that the addresses of servers and clients are the same each time. The
//! socket is taken by `pidfd_getfd`; where a container forbids that, the kernel chooses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rand_chacha::rand_core::RngCore;
use rustix::io::Errno;
use rustix::net::{SocketType, bind, getsockname, ipproto, sockopt};

use super::directory::take;
use super::entropy::Entropy;
use crate::init::filter::{Rule, Verdict};
use crate::sys::memory;
use crate::sys::notify::{Answer, Notification};

/// What the kernel chooses from by default (`ip_local_port_range` in `networking/ip-sysctl`).
const FIRST: u16 = 32768;
const COUNT: u16 = 60999 - FIRST + 1;

/// How many are tried before the kernel is let choose.
const TRIES: usize = 16;

/// How many ports a process gets to connect from. The kernel lets connections share a port, and uses it
/// again a second after one has ended; one that we bound is free a minute later.
const CONNECTIONS: u64 = 1024;

/// `struct sockaddr_in6`.
const LONGEST: usize = 28;

/// Chooses ports.
#[derive(Debug, Default)]
pub struct Ports {
    /// The thread and descriptor whose `bind` was made, and did not hear of it.
    unheard: Option<(u32, u64)>,
}

/// The calls that let the kernel choose.
const CALLS: [libc::c_long; 3] = [libc::SYS_bind, libc::SYS_listen, libc::SYS_connect];

/// Returns the rules by which we are asked.
pub fn rules() -> [Rule; 3] {
    CALLS.map(|call| Rule {
        call,
        tests: Vec::new(),
        verdict: Verdict::Ask,
    })
}

/// Whether the rules ask about a call.
pub fn is_asked(call: &Notification) -> bool {
    CALLS.contains(&i64::from(call.call))
}

impl Ports {
    /// Answers a call for a process.
    ///
    /// # Errors
    /// Fails if its socket cannot be looked at.
    pub fn answer(&mut self, call: &Notification, entropy: &mut Entropy) -> io::Result<Answer> {
        let unheard = self.unheard.take() == Some((call.thread, call.arguments[0]));
        match i64::from(call.call) {
            libc::SYS_bind => match address(call).filter(|address| address.port() == 0) {
                // A signal came when it was done, and the call is made again.
                Some(_) if unheard => Ok(Answer::Value(0)),
                Some(address) => {
                    let socket = take(call.thread, call.arguments[0])?;
                    Ok(
                        match choose(&socket, address, call.thread, entropy, u64::MAX)? {
                            true => Answer::Value(0),
                            false => Answer::Continue,
                        },
                    )
                }
                None => Ok(Answer::Continue),
            },
            libc::SYS_listen => give(call, entropy, u64::MAX),
            _ if address(call).is_some() => give(call, entropy, CONNECTIONS),
            _ => Ok(Answer::Continue),
        }
    }

    /// Notes that the answer to a call did not arrive.
    pub fn unheard(&mut self, call: &Notification, answer: Answer) {
        if answer == Answer::Value(0) {
            self.unheard = Some((call.thread, call.arguments[0]));
        }
    }
}

/// Gives a port to a socket that has none, before the kernel does.
fn give(call: &Notification, entropy: &mut Entropy, most: u64) -> io::Result<Answer> {
    let socket = take(call.thread, call.arguments[0])?;
    if let Ok(own) = SocketAddr::try_from(getsockname(&socket)?)
        && own.port() == 0
    {
        choose(&socket, own, call.thread, entropy, most)?;
    }
    Ok(Answer::Continue)
}

/// Binds a socket to an address, on a port of our choice, unless its process has had so many. Returns
/// whether that was done: what the kernel refuses is for it to say.
fn choose(
    socket: &OwnedFd,
    address: SocketAddr,
    thread: u32,
    entropy: &mut Entropy,
    most: u64,
) -> io::Result<bool> {
    let kind = (
        sockopt::socket_type(socket)?,
        sockopt::socket_protocol(socket)?,
    );
    let has_ports = [
        (SocketType::STREAM, Some(ipproto::TCP)),
        // Go's servers.
        (SocketType::STREAM, Some(ipproto::MPTCP)),
        (SocketType::DGRAM, Some(ipproto::UDP)),
    ];
    let (process, had, mut stream) = entropy.next(thread, "port");
    if !has_ports.contains(&kind) || had >= most {
        return Ok(false);
    }
    let alone = Alone::begin(socket)?;
    let mut bound = false;
    for _ in 0..TRIES {
        let port = FIRST + (stream.next_u32() % u32::from(COUNT)) as u16;
        match bind(socket, &SocketAddr::new(address.ip(), port)) {
            Ok(()) => {
                entropy.given(process, "port");
                bound = true;
                break;
            }
            Err(Errno::ADDRINUSE) => {}
            Err(_) => break,
        }
    }
    alone.end(socket)?;
    Ok(bound)
}

/// A socket without leave to share a port: the kernel chooses none that somebody has.
struct Alone {
    address: bool,
    port: bool,
}

impl Alone {
    fn begin(socket: &OwnedFd) -> rustix::io::Result<Alone> {
        let was = Alone {
            address: sockopt::socket_reuseaddr(socket)?,
            port: sockopt::socket_reuseport(socket)?,
        };
        Alone::set(socket, (was.address, was.port), false)?;
        Ok(was)
    }

    fn end(self, socket: &OwnedFd) -> rustix::io::Result<()> {
        Alone::set(socket, (self.address, self.port), true)
    }

    fn set(socket: &OwnedFd, (address, port): (bool, bool), value: bool) -> rustix::io::Result<()> {
        if address {
            sockopt::set_socket_reuseaddr(socket, value)?;
        }
        if port {
            sockopt::set_socket_reuseport(socket, value)?;
        }
        Ok(())
    }
}

/// Reads the address of a `bind` or `connect`, if it is of the Internet.
fn address(call: &Notification) -> Option<SocketAddr> {
    let [_, place, size, ..] = call.arguments;
    let size = (size as u32 as usize).min(LONGEST);
    let mut bytes = [0; LONGEST];
    memory::read(call.thread, place, &mut bytes[..size]).ok()?;
    parse(&bytes[..size])
}

/// Reads a `struct sockaddr_in` or `sockaddr_in6` of at least the size that the kernel wants.
fn parse(bytes: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let port = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]);
    let host: IpAddr = match (family, bytes.len()) {
        (libc::AF_INET, 16..) => Ipv4Addr::from(*bytes.get(4..)?.first_chunk()?).into(),
        (libc::AF_INET6, 24..) => Ipv6Addr::from(*bytes.get(8..)?.first_chunk()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(host, port))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn addresses_of_the_internet_are_read() {
        let four = [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(parse(&four), "127.0.0.1:8080".parse().ok());
        assert_eq!(parse(&four[..15]), None);
        let mut six = [0; 28];
        (six[0], six[23]) = (10, 1);
        assert_eq!(parse(&six), "[::1]:0".parse().ok());
        assert_eq!(parse(&six[..24]), "[::1]:0".parse().ok());
        let local = [1, 0, b'/', b't', b'm', b'p', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(parse(&local), None);
        assert_eq!(parse(&[]), None);
    }
}
