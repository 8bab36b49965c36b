//! A small HTTP/1.1 server for tests, on the loopback interface and with `std::net` alone.
//!
//! Included by path, so that the tests of every crate can use it:
//! `#[path = "…/tests/support/http.rs"] mod http;`
//!
//! A test says for each path what happens at the first request, the second and so on; the last
//! answer stays. Requests are remembered.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each crate that includes this file uses another part of it"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What the server does with one request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Sends the bytes, or the part asked for.
    Bytes(Vec<u8>),
    /// Sends the bytes under this `Content-Type`.
    Typed(Vec<u8>, &'static str),
    /// Sends the bytes, or the part asked for: also one with an end, or so many last bytes.
    Parts(Vec<u8>),
    /// Sends all the bytes, whatever part was asked for.
    IgnoringRange(Vec<u8>),
    /// Sends the bytes with this `ETag`, or `304` to who has it.
    Tagged(Vec<u8>, &'static str),
    /// Sends a status, a few header lines and nothing else.
    Status(u16, Vec<(&'static str, String)>),
    /// Announces all the bytes (or the part asked for), sends so many of them and hangs up.
    Truncated(Vec<u8>, usize),
    /// Sends the bytes under another `Content-Length`.
    Lying(Vec<u8>, usize),
    /// Sends the bytes again and again without a `Content-Length`.
    Endless(Vec<u8>),
    /// Takes the request and says nothing until the server is dropped.
    Silence,
    /// Announces all the bytes, sends so many, and says nothing more until the server is dropped.
    Stall(Vec<u8>, usize),
    /// Hangs up at once.
    HangUp,
    /// Answers so who shows this `Authorization`, and others with 401.
    Behind(&'static str, Box<Answer>),
}

/// One request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `PUT` and so on.
    pub method: String,
    /// The path, decoded.
    pub path: String,
    /// Header lines with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Returns the first byte of the part asked for.
    pub fn range(&self) -> Option<usize> {
        let range = self.headers.get("range")?.strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse().ok()
    }
}

impl Request {
    /// Returns begin and end of the part asked for of so many bytes.
    fn part(&self, size: usize) -> Option<(usize, usize)> {
        let range = self.headers.get("range")?.strip_prefix("bytes=")?;
        let (begin, end) = range.split_once('-')?;
        match (begin.parse::<usize>(), end.parse::<usize>()) {
            (Ok(begin), Ok(last)) => Some((begin.min(size), (last + 1).min(size))),
            (Ok(begin), Err(_)) => Some((begin.min(size), size)),
            (Err(_), Ok(last)) => Some((size.saturating_sub(last), size)),
            (Err(_), Err(_)) => None,
        }
    }
}

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Vec<Answer>>,
    requests: Vec<Request>,
    closed: bool,
}

/// A server; it goes away when dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Server {
    /// Starts a server that knows no path yet.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.0.lock().unwrap().closed {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // A client that went away is its own affair.
                thread::spawn(move || stream.and_then(|stream| serve(&stream, &shared)));
            }
        });
        Self { address, shared }
    }

    /// Serves `bytes` at `path`, which begins with a slash.
    pub fn file(&self, path: &str, bytes: &[u8]) -> &Self {
        self.answers(path, vec![Answer::Bytes(bytes.to_vec())])
    }

    /// Gives `answers` at `path`, one for each request; the last one stays.
    pub fn answers(&self, path: &str, answers: Vec<Answer>) -> &Self {
        let mut state = self.shared.0.lock().unwrap();
        state.answers.insert(path.to_owned(), answers);
        drop(state);
        self
    }

    /// Returns the root's URL, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what was asked for so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.0.lock().unwrap().requests.clone()
    }

    /// Returns how often `path` was asked for.
    pub fn count(&self, path: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.path == path)
            .count()
    }

    /// Waits until there were `count` requests.
    pub fn wait_for(&self, count: usize) {
        let (state, changed) = &*self.shared;
        let state = state.lock().unwrap();
        drop(
            changed
                .wait_while(state, |state| state.requests.len() < count)
                .unwrap(),
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.0.lock().unwrap().closed = true;
        self.shared.1.notify_all();
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

/// Returns the URL of a port on which nobody listens.
pub fn nobody() -> String {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    format!("http://{address}")
}

fn serve(stream: &TcpStream, shared: &(Mutex<State>, Condvar)) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    // One request for each connection: every answer says `Connection: close`.
    let Some(request) = read_request(&mut lines)? else {
        return Ok(());
    };
    let answer = {
        let mut state = shared.0.lock().unwrap();
        state.requests.push(request.clone());
        match state.answers.get_mut(&request.path) {
            None => Answer::Status(404, Vec::new()),
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
        }
    };
    shared.1.notify_all();
    let answer = match answer {
        Answer::Behind(shown, behind) => match request.headers.get("authorization") {
            Some(found) if found == shown => *behind,
            _ => Answer::Status(401, Vec::new()),
        },
        answer => answer,
    };
    let silent = matches!(answer, Answer::Silence | Answer::Stall(..));
    respond(stream, &request, answer)?;
    if silent {
        let state = shared.0.lock().unwrap();
        drop(shared.1.wait_while(state, |state| !state.closed).unwrap());
    }
    // Let the client see everything before the connection is torn down.
    stream.shutdown(Shutdown::Write)?;
    lines.read_to_end(&mut Vec::new())?;
    Ok(())
}

fn read_request(lines: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let path = decode(target.split('?').next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            None => break,
            Some((name, value)) => {
                headers.insert(name.to_lowercase(), value.trim().to_owned());
            }
        }
    }
    let length = headers.get("content-length");
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    lines.read_exact(&mut body)?;
    Ok(Some(Request {
        method: method.to_owned(),
        path,
        headers,
        body,
    }))
}

fn decode(target: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = target.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap()
}

fn respond(stream: &TcpStream, request: &Request, answer: Answer) -> std::io::Result<()> {
    let part = |bytes: &[u8]| match request.range() {
        None => (200, 0, Vec::new()),
        Some(start) if start >= bytes.len() => (416, bytes.len(), Vec::new()),
        Some(start) => {
            let last = bytes.len() - 1;
            let value = format!("bytes {start}-{last}/{}", bytes.len());
            (206, start, vec![("Content-Range", value)])
        }
    };
    match answer {
        Answer::Bytes(bytes) => {
            let (status, start, headers) = part(&bytes);
            let rest = &bytes[start..];
            send(stream, status, &headers, Some(rest.len()), rest)
        }
        Answer::Typed(bytes, kind) => {
            let headers = [("Content-Type", kind.to_owned())];
            send(stream, 200, &headers, Some(bytes.len()), &bytes)
        }
        Answer::Parts(bytes) => {
            let Some((start, end)) = request.part(bytes.len()) else {
                return send(stream, 200, &[], Some(bytes.len()), &bytes);
            };
            let value = format!("bytes {start}-{}/{}", end - 1, bytes.len());
            let part = &bytes[start..end];
            send(
                stream,
                206,
                &[("Content-Range", value)],
                Some(part.len()),
                part,
            )
        }
        Answer::IgnoringRange(bytes) => send(stream, 200, &[], Some(bytes.len()), &bytes),
        Answer::Tagged(bytes, etag) => {
            let headers = [("ETag", etag.to_owned())];
            match request.headers.get("if-none-match") {
                Some(known) if known == etag => send(stream, 304, &headers, None, b""),
                _ => send(stream, 200, &headers, Some(bytes.len()), &bytes),
            }
        }
        Answer::Status(status, headers) => send(stream, status, &headers, Some(0), b""),
        Answer::Truncated(bytes, sent) | Answer::Stall(bytes, sent) => {
            let (status, start, headers) = part(&bytes);
            let rest = &bytes[start..];
            let sent = &rest[..sent.min(rest.len())];
            send(stream, status, &headers, Some(rest.len()), sent)
        }
        Answer::Lying(bytes, length) => send(stream, 200, &[], Some(length), &bytes),
        Answer::Endless(bytes) => {
            send(stream, 200, &[], None, b"")?;
            loop {
                (&mut &*stream).write_all(&bytes)?;
            }
        }
        Answer::Silence | Answer::HangUp | Answer::Behind(..) => Ok(()),
    }
}

fn send(
    mut stream: &TcpStream,
    status: u16,
    headers: &[(&str, String)],
    length: Option<usize>,
    body: &[u8],
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\n");
    // Index clients want to know; the only untyped pages here are lists of links.
    let typed = headers.iter().any(|(name, _)| *name == "Content-Type");
    if !typed {
        let page = body.starts_with(b"<");
        let kind = if page {
            "text/html"
        } else {
            "application/octet-stream"
        };
        head += &format!("Content-Type: {kind}\r\n");
    }
    if let Some(length) = length {
        head += &format!("Content-Length: {length}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    stream.write_all(body)
}
