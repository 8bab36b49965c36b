//! Requests of any method, with a body, and answers whatever their status.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::stream;
pub use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, LOCATION, RETRY_AFTER};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use url::Url;

use crate::net::body::{FILE_CHUNK, Stream};
use crate::net::client::{self, Client};
use crate::net::{NetError, shown};

/// Hears how many bytes of a file have been sent so far, counted from the file's beginning.
pub type Sent = Arc<dyn Fn(u64) + Send + Sync>;

/// One request. It can be sent again: its body is there as long as it is.
#[derive(Clone)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// To what.
    pub url: Url,
    /// Header lines; `Authorization` does not follow a redirect to another host.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub payload: Payload,
    /// How much longer than usual the answer may take once the body is sent.
    pub patience: Duration,
}

/// The body of a request.
#[derive(Clone, Default)]
pub enum Payload {
    /// None.
    #[default]
    Empty,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A part of a file, read while it is sent.
    File(FilePart),
}

/// A part of a file.
#[derive(Clone)]
pub struct FilePart {
    /// The file.
    pub path: PathBuf,
    /// The first byte.
    pub offset: u64,
    /// How many.
    pub length: u64,
    /// Who is told how far it is.
    pub sent: Sent,
}

impl Request {
    /// Asks for `method` on `url` with nothing more to say.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            payload: Payload::Empty,
            patience: Duration::ZERO,
        }
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// Returns the URL for messages: a query may be the signature of a storage service.
    fn shown(&self) -> Url {
        let mut url = self.url.clone();
        url.set_query(None);
        url
    }
}

/// An answer.
pub struct Reply {
    status: u16,
    headers: HeaderMap,
    /// Where the answer came from, after redirects.
    from: Url,
    /// What was asked for, for messages.
    asked: Url,
    offset: u64,
    stream: Stream,
}

impl Reply {
    /// Returns the status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the first header line of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns all header lines of that name that are text.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.get_all(name).into_iter();
        lines.filter_map(|line| line.to_str().ok()).collect()
    }

    /// Returns the URL that the answer names with `Location`.
    pub fn location(&self) -> Option<Url> {
        self.from.join(self.header(LOCATION.as_str())?).ok()
    }

    /// Returns the place of the body's first byte: another than the first where a part was asked
    /// for and given.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the size of the whole, from its first byte on, when the server says so.
    pub fn announced(&self) -> Option<u64> {
        self.stream.announced()
    }

    /// Returns the next bytes, none at the end.
    ///
    /// # Errors
    /// Returns [`NetError`] when they do not come.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, NetError> {
        self.stream.chunk(&self.asked).await
    }

    /// Returns the whole body.
    ///
    /// # Errors
    /// Returns [`NetError::TooLarge`] when it has more than `limit` bytes, or why it did not come.
    pub async fn collect(mut self, limit: u64) -> Result<Vec<u8>, NetError> {
        self.stream.collect(&self.asked, limit).await
    }

    /// Returns the status as an error.
    pub fn as_error(&self) -> NetError {
        NetError::Status {
            url: shown(&self.asked),
            status: self.status,
            retry_after: self
                .header(RETRY_AFTER.as_str())
                .and_then(|text| text.parse().ok()),
        }
    }
}

impl Client {
    /// Sends `request` until it is answered with a status that waiting does not change.
    ///
    /// # Errors
    /// Returns [`NetError`] when no attempt brought one.
    pub async fn exchange(&self, request: &Request) -> Result<Reply, NetError> {
        let mut backoff = self.backoff();
        loop {
            let failure = match self.send(request).await {
                Err(error) => error,
                Ok(reply) => match reply.as_error() {
                    error if error.is_transient() => error,
                    _ => return Ok(reply),
                },
            };
            backoff.pause(failure).await?;
        }
    }

    /// Sends `request` once and returns the answer, whatever its status.
    ///
    /// # Errors
    /// Returns [`NetError`] when there is none.
    pub async fn send(&self, request: &Request) -> Result<Reply, NetError> {
        let asked = request.shown();
        let mut builder = self.request(request.method.clone(), &request.url).await?;
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let sent = Arc::new(AtomicU64::new(0));
        let mut length = 0;
        builder = match &request.payload {
            Payload::Empty if request.method == Method::GET || request.method == Method::HEAD => {
                builder
            }
            Payload::Empty => builder.header(CONTENT_LENGTH, 0),
            Payload::Bytes(bytes) => builder.body(bytes.clone()),
            Payload::File(part) => {
                length = part.length;
                builder
                    .header(CONTENT_LENGTH, part.length)
                    .body(read_part(part.clone(), Arc::clone(&sent)))
            }
        };
        let idle = self.idle_timeout();
        let mut answer = std::pin::pin!(builder.send());
        let response = loop {
            let before = sent.load(Ordering::Relaxed);
            let wait = match before {
                sent if sent == length => idle + request.patience,
                _ => idle,
            };
            match tokio::time::timeout(wait, &mut answer).await {
                Ok(answer) => {
                    break answer.map_err(|error| NetError::of_request(&asked, error))?;
                }
                Err(_) if sent.load(Ordering::Relaxed) != before => {}
                Err(_) => return Err(NetError::Timeout { url: shown(&asked) }),
            }
        };
        let offset = match response.status().as_u16() {
            206 => client::content_range(&response).unwrap_or(0),
            _ => 0,
        };
        Ok(Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            from: response.url().clone(),
            asked,
            offset,
            stream: Stream::of_response(response, offset, idle),
        })
    }
}

/// Returns a body that reads the file while it is sent.
fn read_part(part: FilePart, sent: Arc<AtomicU64>) -> reqwest::Body {
    reqwest::Body::wrap_stream(stream::try_unfold(None::<File>, move |file| {
        let (part, sent) = (part.clone(), Arc::clone(&sent));
        async move {
            let done = sent.load(Ordering::Relaxed);
            if done == part.length {
                return Ok::<_, std::io::Error>(None);
            }
            let mut file = match file {
                Some(file) => file,
                None => {
                    let mut file = File::open(&part.path).await?;
                    file.seek(std::io::SeekFrom::Start(part.offset)).await?;
                    file
                }
            };
            let mut bytes = vec![0; (part.length - done).min(FILE_CHUNK as u64) as usize];
            file.read_exact(&mut bytes).await?;
            let done = done + bytes.len() as u64;
            sent.store(done, Ordering::Relaxed);
            (part.sent)(part.offset + done);
            Ok(Some((bytes, Some(file))))
        }
    }))
}
