//! Gets ports that it does not ask for.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;

use crate::syscall;

const BIND: i64 = 49;
const LISTEN: i64 = 50;
const SOCKET: i64 = 41;

/// Prints the port of every kind of socket, here and in two processes at once.
pub fn ports() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    println!("bind {}", address.port());
    println!("again {}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    println!("six {}", TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap().port());
    println!("datagrams {}", UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let client = TcpStream::connect(address).unwrap();
    let (peer, seen) = server.accept().unwrap();
    assert_eq!(client.local_addr().unwrap(), seen);
    assert_eq!(peer.local_addr().unwrap(), address);
    println!("connect {}", seen.port());
    let unbound = unsafe { OwnedFd::from_raw_fd(syscall(SOCKET, 2, 1, 0) as i32) };
    assert_eq!(unsafe { syscall(LISTEN, unbound.as_raw_fd(), 1) }, 0);
    let listener = TcpListener::from(unbound);
    println!("listen {}", listener.local_addr().unwrap().port());
    // What the kernel refuses, it refuses; what was chosen, it gives.
    let bound = [2_u8, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(unsafe { syscall(BIND, server.as_raw_fd(), bound.as_ptr(), 16) }, -1);
    println!("bound twice {}", std::io::Error::last_os_error().kind() == ErrorKind::InvalidInput);
    let none = [BIND, LISTEN].map(|call| unsafe { syscall(call, -1_i64, bound.as_ptr(), 16) });
    println!("no descriptor {none:?}");
    println!("not ours {:?}", TcpListener::bind("192.0.2.1:0").unwrap_err().kind());
    println!("taken {:?}", TcpListener::bind(address).unwrap_err().kind());
    println!("chosen {}", TcpListener::bind("127.0.0.1:8080").unwrap().local_addr().unwrap().port());
    let child = || Command::new(std::env::args().next().unwrap()).args(["ports-many", "1"]).spawn();
    for mut child in [child().unwrap(), child().unwrap()] {
        assert!(child.wait().unwrap().success());
    }
}

/// Binds so many sockets that may share their ports, and prints how many ports they have.
pub fn many(count: usize) {
    let mut sockets = Vec::new();
    for _ in 0..count {
        // The standard library lets it share the port with what has ended.
        sockets.push(TcpListener::bind("127.0.0.1:0").unwrap());
    }
    let ports: BTreeSet<u16> = sockets.iter().map(|it| it.local_addr().unwrap().port()).collect();
    match count {
        1 => println!("child {ports:?}"),
        _ => println!("{} in {:?}", ports.len(), ports.first().unwrap() >= &32768),
    }
}
