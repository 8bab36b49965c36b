//! A registry in this process that can be told to misbehave.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envbox_lockfiles::base::Digest;
use serde_json::json;

/// What happens to a request instead of what should.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status and these header lines.
    Status(u16, Vec<(&'static str, String)>),
    /// This status and this body.
    Body(u16, &'static str, Vec<u8>),
    /// Nothing: this one goes well.
    Pass,
    /// The connection ends at once.
    HangUp,
    /// So much of the body is taken in, then the connection ends.
    Lose(usize),
    /// All is done, but nobody is told.
    LoseAnswer,
    /// Only so many bytes of the answer's body come.
    Truncate(usize),
    /// Other bytes come under the same header lines.
    Replace(Vec<u8>),
}

/// Who is let in.
#[derive(Debug, Clone, Default)]
pub enum Gate {
    /// Everybody.
    #[default]
    Open,
    /// `user:password`.
    Basic(&'static str),
    /// Those with a token; tokens for `user:password`, or for all.
    Token(Option<&'static str>),
    /// Those with a token, for which an identity token is exchanged.
    Exchange(&'static str),
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Seen {
    /// Returns method and path.
    pub fn line(&self) -> String {
        let path = self.target.split('?').next().unwrap();
        format!("{} {path}", self.method)
    }
}

#[derive(Default)]
pub struct State {
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// `repository digest`
    pub linked: BTreeSet<String>,
    /// By `repository name`, with the media type.
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub uploads: BTreeMap<usize, Vec<u8>>,
    pub seen: Vec<Seen>,
    /// Method, a part of the target, and what happens, each once.
    pub faults: Vec<(&'static str, String, Fault)>,
    pub gate: Gate,
    pub tokens: usize,
    /// The largest body that is taken.
    pub limit: Option<usize>,
    pub lists_referrers: bool,
    begun: usize,
    closed: bool,
}

/// The registry; it goes away when dropped.
pub struct Fake {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let accepting = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.lock().unwrap().closed {
                    return;
                }
                let state = Arc::clone(&accepting);
                // A client that went away is its own affair.
                thread::spawn(move || stream.and_then(|stream| serve(&stream, &state)));
            }
        });
        Self { address, state }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Has `fault` happen once to a request of `method` with `part` in its target.
    pub fn fault(&self, method: &'static str, part: &str, fault: Fault) -> &Self {
        let mut state = self.state();
        state.faults.push((method, part.to_owned(), fault));
        drop(state);
        self
    }

    /// Puts a blob into `repository`.
    pub fn blob(&self, repository: &str, bytes: &[u8]) {
        let digest = Digest::of(bytes).to_string();
        let mut state = self.state();
        state.linked.insert(format!("{repository} {digest}"));
        state.blobs.insert(digest, bytes.to_vec());
    }

    /// Puts a manifest into `repository` under a tag and its digest.
    pub fn manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) {
        let mut state = self.state();
        for name in [tag.to_owned(), Digest::of(bytes).to_string()] {
            let value = (media_type.to_owned(), bytes.to_vec());
            state
                .manifests
                .insert(format!("{repository} {name}"), value);
        }
    }

    /// Returns method and path of all requests so far, and forgets them.
    pub fn lines(&self) -> Vec<String> {
        let seen = std::mem::take(&mut self.state().seen);
        seen.iter().map(Seen::line).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.state().closed = true;
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn reply(status: u16) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

impl Reply {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let Some(mut seen) = read_head(&mut lines)? else {
        return Ok(());
    };
    let length = seen.headers.get("content-length");
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    let fault = {
        let mut state = state.lock().unwrap();
        let hit = state.faults.iter().position(|(method, part, _)| {
            seen.method == *method && seen.target.contains(part.as_str())
        });
        hit.map(|hit| state.faults.remove(hit).2)
    };
    let mut taken = length;
    match &fault {
        Some(Fault::HangUp) => taken = 0,
        Some(Fault::Lose(kept)) => taken = *kept,
        _ => {}
    }
    seen.body = vec![0; taken];
    lines.read_exact(&mut seen.body)?;
    let mut answer = {
        let mut state = state.lock().unwrap();
        state.seen.push(seen.clone());
        match &fault {
            Some(Fault::HangUp) => return Ok(()),
            Some(Fault::Status(status, headers)) => Reply {
                headers: headers.clone(),
                ..reply(*status)
            },
            Some(Fault::Body(status, typed, body)) => reply(*status)
                .with("Content-Type", *typed)
                .body(body.clone()),
            _ => answer(&mut state, &seen),
        }
    };
    let mut announced = answer.body.len();
    match fault {
        Some(Fault::Lose(_) | Fault::LoseAnswer) => return Ok(()),
        Some(Fault::Truncate(length)) => answer.body.truncate(length),
        Some(Fault::Replace(body)) => {
            announced = body.len();
            answer.body = body;
        }
        _ => {}
    }
    send(stream, &seen, &answer, announced)?;
    // Let the client see everything before the connection is torn down.
    stream.shutdown(Shutdown::Write)?;
    lines.read_to_end(&mut Vec::new())?;
    Ok(())
}

fn read_head(lines: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let mut seen = Seen {
        method: method.to_owned(),
        target: target.replace("%3A", ":").replace("%2F", "/"),
        headers: BTreeMap::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        lines.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            None => return Ok(Some(seen)),
            Some((name, value)) => {
                seen.headers
                    .insert(name.to_lowercase(), value.trim().to_owned());
            }
        }
    }
}

fn send(
    mut stream: &TcpStream,
    seen: &Seen,
    answer: &Reply,
    announced: usize,
) -> std::io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} Status\r\nConnection: close\r\nContent-Length: {announced}\r\n",
        answer.status
    );
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    if seen.method != "HEAD" {
        stream.write_all(&answer.body)?;
    }
    Ok(())
}

fn answer(state: &mut State, seen: &Seen) -> Reply {
    let path = seen.target.split('?').next().unwrap().to_owned();
    if path == "/token" {
        return give_token(state, seen);
    }
    if let Some(refusal) = refuse(state, seen) {
        return refusal;
    }
    if state.limit.is_some_and(|limit| seen.body.len() > limit) {
        return reply(413);
    }
    let path = path.strip_prefix("/v2/").unwrap_or_default();
    let split = |part: &str| {
        let (repository, name) = path.rsplit_once(part)?;
        Some((repository.to_owned(), name.to_owned()))
    };
    if let Some((repository, name)) = split("/blobs/uploads/") {
        upload(state, seen, &repository, &name)
    } else if let Some((repository, digest)) = split("/blobs/") {
        blob(state, seen, &repository, &digest)
    } else if let Some((repository, name)) = split("/manifests/") {
        manifest(state, seen, &repository, &name)
    } else if let Some((repository, digest)) = split("/referrers/") {
        referrers(state, &repository, &digest)
    } else {
        reply(404)
    }
}

fn basic(login: &str) -> String {
    format!("Basic {}", STANDARD.encode(login))
}

fn give_token(state: &mut State, seen: &Seen) -> Reply {
    let allowed = match &state.gate {
        Gate::Token(None) => true,
        Gate::Token(Some(login)) => seen.headers.get("authorization") == Some(&basic(login)),
        Gate::Exchange(token) => {
            let body = String::from_utf8_lossy(&seen.body);
            seen.method == "POST" && body.contains(&format!("refresh_token={token}"))
        }
        _ => false,
    };
    if !allowed {
        return reply(401);
    }
    state.tokens += 1;
    let token = json!({"token": format!("token-{}", state.tokens)});
    reply(200).body(token.to_string())
}

fn refuse(state: &State, seen: &Seen) -> Option<Reply> {
    let given = seen.headers.get("authorization").map(String::as_str);
    let (expected, challenge) = match &state.gate {
        Gate::Open => return None,
        Gate::Basic(login) => (basic(login), "Basic realm=\"fake\"".to_owned()),
        Gate::Token(_) | Gate::Exchange(_) => (
            format!("Bearer token-{}", state.tokens),
            format!(
                "Bearer realm=\"http://{}/token\",service=\"fake\",scope=\"registry:catalog:*\"",
                seen.headers["host"]
            ),
        ),
    };
    if given == Some(&expected) {
        return None;
    }
    Some(reply(401).with("WWW-Authenticate", challenge))
}

fn query<'a>(seen: &'a Seen, name: &str) -> Option<&'a str> {
    let (_, query) = seen.target.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

fn upload(state: &mut State, seen: &Seen, repository: &str, id: &str) -> Reply {
    if seen.method == "POST" {
        if let (Some(digest), Some(from)) = (query(seen, "mount"), query(seen, "from"))
            && state.linked.contains(&format!("{from} {digest}"))
        {
            state.linked.insert(format!("{repository} {digest}"));
            return reply(201);
        }
        state.begun += 1;
        let id = state.begun;
        state.uploads.insert(id, Vec::new());
        // Relative, and with a query: both are allowed.
        let location = format!("/v2/{repository}/blobs/uploads/{id}?state=secret");
        return reply(202).with("Location", location);
    }
    let id: usize = id.parse().unwrap();
    let Some(bytes) = state.uploads.get_mut(&id) else {
        return reply(404);
    };
    if seen.method == "PATCH" {
        let begin = seen.headers["content-range"].split('-').next().unwrap();
        if begin.parse() != Ok(bytes.len()) {
            return reply(416);
        }
    }
    bytes.extend_from_slice(&seen.body);
    let range = format!("0-{}", bytes.len().saturating_sub(1));
    let location = format!("/v2/{repository}/blobs/uploads/{id}?state=secret");
    match seen.method.as_str() {
        "PATCH" => reply(202).with("Location", location).with("Range", range),
        "GET" => reply(204).with("Location", location).with("Range", range),
        "DELETE" => {
            state.uploads.remove(&id);
            reply(204)
        }
        _ => {
            let bytes = state.uploads.remove(&id).unwrap();
            let digest = Digest::of(&bytes).to_string();
            if query(seen, "digest") != Some(&digest) {
                let error = json!({"errors": [{"code": "DIGEST_INVALID", "message": "other"}]});
                return reply(400).body(error.to_string());
            }
            state.linked.insert(format!("{repository} {digest}"));
            state.blobs.insert(digest.clone(), bytes);
            reply(201).with("Docker-Content-Digest", digest)
        }
    }
}

fn blob(state: &State, seen: &Seen, repository: &str, digest: &str) -> Reply {
    if !state.linked.contains(&format!("{repository} {digest}")) {
        return reply(404);
    }
    let bytes = &state.blobs[digest];
    let range = seen.headers.get("range");
    let begin = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    match begin.map(|begin| begin.parse::<usize>().unwrap()) {
        None => reply(200)
            .with("Docker-Content-Digest", digest)
            .body(bytes.clone()),
        Some(begin) if begin >= bytes.len() => reply(416),
        Some(begin) => {
            let range = format!("bytes {begin}-{}/{}", bytes.len() - 1, bytes.len());
            reply(206)
                .with("Content-Range", range)
                .body(&bytes[begin..])
        }
    }
}

fn manifest(state: &mut State, seen: &Seen, repository: &str, name: &str) -> Reply {
    let key = format!("{repository} {name}");
    if seen.method != "PUT" {
        return match state.manifests.get(&key) {
            None => reply(404),
            Some((typed, bytes)) => reply(200)
                .with("Content-Type", typed)
                .with("Docker-Content-Digest", Digest::of(bytes).to_string())
                .body(bytes.clone()),
        };
    }
    let digest = Digest::of(&seen.body).to_string();
    let value = (seen.headers["content-type"].clone(), seen.body.clone());
    state.manifests.insert(key, value.clone());
    let by_digest = format!("{repository} {digest}");
    state.manifests.insert(by_digest, value);
    let answer = reply(201).with("Docker-Content-Digest", digest);
    let parsed: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    match parsed["subject"]["digest"].as_str() {
        Some(subject) if state.lists_referrers => answer.with("OCI-Subject", subject),
        _ => answer,
    }
}

/// Lists one referrer a page.
fn referrers(state: &State, repository: &str, subject: &str) -> Reply {
    if !state.lists_referrers {
        return reply(404);
    }
    let (subject, page) = match subject.split_once("/page/") {
        Some((subject, page)) => (subject, page.parse().unwrap()),
        None => (subject, 0),
    };
    let mut found = Vec::new();
    for (key, (typed, bytes)) in &state.manifests {
        let parsed: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        if key.starts_with(&format!("{repository} sha256:"))
            && parsed["subject"]["digest"] == subject
        {
            found.push(json!({
                "mediaType": typed,
                "digest": Digest::of(bytes),
                "size": bytes.len(),
                "artifactType": parsed["artifactType"],
            }));
        }
    }
    let shown: Vec<_> = found.iter().skip(page).take(1).collect();
    let index = json!({"schemaVersion": 2, "manifests": shown});
    let answer = reply(200)
        .with("Content-Type", "application/vnd.oci.image.index.v1+json")
        .body(index.to_string());
    if page + 1 >= found.len() {
        return answer;
    }
    let next = format!(
        "</v2/{repository}/referrers/{subject}/page/{}>; rel=\"next\"",
        page + 1
    );
    answer.with("Link", next)
}
