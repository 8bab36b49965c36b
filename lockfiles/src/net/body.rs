//! Bodies that arrive piece by piece.

use std::io::SeekFrom;
use std::path::Path;
use std::time::Duration;

use reqwest::Response;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::time::timeout;
use url::Url;

use crate::base::FsError;
use crate::net::client::{self, Backoff, Client};
use crate::net::{NetError, shown};

/// A connection that brought this much was worth making: its loss does not count against the
/// attempts before it.
const PROGRESS: u64 = 1024 * 1024;

/// How much of a file is read at once.
pub(super) const FILE_CHUNK: usize = 128 * 1024;

/// A body being received. When the connection is lost it is taken up again at the same byte.
pub struct Body {
    client: Client,
    url: Url,
    offset: u64,
    stream: Stream,
    /// The next byte that the caller gets.
    position: u64,
    /// Where the present connection began, for [`PROGRESS`].
    connected_at: u64,
    backoff: Backoff,
}

impl Body {
    pub(super) fn new(client: Client, url: Url, offset: u64, stream: Stream) -> Self {
        let backoff = client.backoff();
        Self {
            client,
            url,
            offset,
            stream,
            position: offset,
            connected_at: offset,
            backoff,
        }
    }

    /// Returns the place in the file of the first byte that [`Body::chunk`] gave or gives.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the size of the whole file, from its first byte on, when the server says so.
    pub fn announced(&self) -> Option<u64> {
        self.stream.announced()
    }

    /// Returns the next bytes, none at the end.
    ///
    /// # Errors
    /// Returns [`NetError`] when no attempt brought the rest.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, NetError> {
        loop {
            match self.stream.chunk(&self.url).await {
                Ok(None) => return Ok(None),
                Ok(Some(bytes)) => {
                    // A server that ignores ranges begins at the start again.
                    let begin = self.stream.position - bytes.len() as u64;
                    let known = (self.position - begin).min(bytes.len() as u64) as usize;
                    if known == bytes.len() {
                        continue;
                    }
                    self.position = self.stream.position;
                    return Ok(Some(match known {
                        0 => bytes,
                        _ => bytes[known..].to_vec(),
                    }));
                }
                Err(error) => self.reconnect(error).await?,
            }
        }
    }

    async fn reconnect(&mut self, mut error: NetError) -> Result<(), NetError> {
        if self.position - self.connected_at >= PROGRESS {
            self.backoff.reset();
        }
        loop {
            self.backoff.pause(error).await?;
            match self.client.stream(&self.url, self.position).await {
                Ok(stream) => {
                    self.stream = stream;
                    self.connected_at = self.position;
                    return Ok(());
                }
                Err(again) => error = again,
            }
        }
    }
}

/// One answer, from one connection.
pub(super) struct Stream {
    source: Source,
    /// The place in the file of the next byte.
    position: u64,
    /// The size of the whole file.
    total: Option<u64>,
    /// What the server calls this state of the file.
    pub(super) etag: Option<String>,
}

enum Source {
    /// With how long it may be silent.
    Http(Response, Duration),
    File(File),
}

impl Stream {
    pub(super) fn of_response(response: Response, position: u64, idle: Duration) -> Self {
        Self {
            position,
            total: response.content_length().map(|rest| position + rest),
            etag: client::etag(&response),
            source: Source::Http(response, idle),
        }
    }

    pub(super) async fn of_file(url: &Url, position: u64) -> Result<Self, NetError> {
        let path = url
            .to_file_path()
            .map_err(|()| NetError::Scheme { url: shown(url) })?;
        let mut file = match File::open(&path).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(NetError::NotFound { url: shown(url) });
            }
            other => other.map_err(FsError::at("read", &path))?,
        };
        let total = prepare(&mut file, position).await;
        let total = total.map_err(FsError::at("read", &path))?;
        if position > total {
            return Err(NetError::Range {
                url: shown(url),
                offset: position,
            });
        }
        Ok(Self {
            source: Source::File(file),
            position,
            total: Some(total),
            etag: None,
        })
    }

    /// Returns the size of the whole file, when the server says so.
    pub(super) fn announced(&self) -> Option<u64> {
        self.total
    }

    /// Returns the next bytes, none at the end.
    pub(super) async fn chunk(&mut self, url: &Url) -> Result<Option<Vec<u8>>, NetError> {
        let bytes = match &mut self.source {
            Source::Http(response, idle) => match timeout(*idle, response.chunk()).await {
                Ok(Ok(bytes)) => bytes.map(Vec::from),
                Ok(Err(error)) => return Err(self.broken(url, error)),
                Err(_) => return Err(NetError::Timeout { url: shown(url) }),
            },
            Source::File(file) => {
                let mut bytes = vec![0; FILE_CHUNK];
                let path = url.to_file_path().unwrap_or_default();
                let read = file.read(&mut bytes).await;
                bytes.truncate(read.map_err(FsError::at("read", Path::new(&path)))?);
                (!bytes.is_empty()).then_some(bytes)
            }
        };
        self.position += bytes.as_ref().map_or(0, Vec::len) as u64;
        Ok(bytes)
    }

    /// Reads everything, at most `limit` bytes.
    pub(super) async fn collect(&mut self, url: &Url, limit: u64) -> Result<Vec<u8>, NetError> {
        let too_large = || NetError::TooLarge {
            url: shown(url),
            limit,
        };
        if self.total.is_some_and(|total| total > limit) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(bytes) = self.chunk(url).await? {
            if (body.len() + bytes.len()) as u64 > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }

    fn broken(&self, url: &Url, error: reqwest::Error) -> NetError {
        match NetError::of_request(url, error) {
            timeout @ NetError::Timeout { .. } => timeout,
            _ => NetError::Truncated {
                url: shown(url),
                expected: self.total,
                found: self.position,
            },
        }
    }
}

async fn prepare(file: &mut File, position: u64) -> std::io::Result<u64> {
    let total = file.metadata().await?.len();
    file.seek(SeekFrom::Start(position)).await?;
    Ok(total)
}
