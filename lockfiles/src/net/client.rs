//! Requests with patience.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, IF_NONE_MATCH, RANGE, RETRY_AFTER};
use reqwest::{Certificate, Method, RequestBuilder, Response, StatusCode};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use url::Url;

use crate::base::{Context, Network, fs};
use crate::net::body::{Body, Stream};
use crate::net::channels::ChannelCredentials;
use crate::net::{NetError, shown};

/// How patient a client is.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// How often a request is made before its failure is final.
    pub attempts: u32,
    /// The wait before the second attempt; each one after it is five times as long.
    pub first_wait: Duration,
    /// The longest wait between two attempts. A registry that asks for more is not waited for.
    pub longest_wait: Duration,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a connection may be silent.
    pub idle_timeout: Duration,
    /// Whether the proxies of the environment are used.
    pub system_proxies: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            attempts: 4,
            // 0.1 + 0.5 + 2.5 s: outlives the restart of a server behind a balancer, and a user
            // who mistyped a host name does not wait long.
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            system_proxies: true,
        }
    }
}

/// Makes requests; cheap to clone.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// Those of conda channels, where it asks for their packages.
    credentials: Option<Arc<ChannelCredentials>>,
}

struct Shared {
    network: Network,
    options: ClientOptions,
    certificates: Option<Certificates>,
    /// Made at the first request: reading the system's certificates takes tens of milliseconds,
    /// and most calls find everything in the store.
    http: OnceCell<reqwest::Client>,
}

pub(super) struct Certificates {
    path: std::path::PathBuf,
    pem: Vec<u8>,
}

/// The answer to a conditional request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conditional {
    /// What the caller has is still current.
    Unchanged,
    /// There is something new.
    Changed {
        /// All of it.
        body: Vec<u8>,
        /// What to give to the next conditional request.
        etag: Option<String>,
    },
}

impl Client {
    /// Returns a client with the usual patience.
    ///
    /// # Errors
    /// Returns [`NetError::File`] when the file of certificate authorities cannot be read.
    pub fn new(context: &Context) -> Result<Self, NetError> {
        Self::with_options(context, ClientOptions::default())
    }

    /// Returns a client with the patience given.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_options(context: &Context, options: ClientOptions) -> Result<Self, NetError> {
        Ok(Self {
            shared: Arc::new(Shared {
                network: context.network,
                options,
                certificates: Certificates::of(context)?,
                http: OnceCell::new(),
            }),
            credentials: None,
        })
    }

    /// Returns this client as one that shows the context's credentials of conda channels, each to the
    /// host that it is for. A redirect to another host does not take them along.
    ///
    /// # Errors
    /// Returns [`NetError::Credentials`] when they cannot be read.
    pub fn for_channels(&self, context: &Context) -> Result<Self, NetError> {
        Ok(Self {
            shared: Arc::clone(&self.shared),
            credentials: Some(Arc::new(ChannelCredentials::of(context)?)),
        })
    }

    /// Returns the whole body at `url`.
    ///
    /// # Errors
    /// Returns [`NetError::TooLarge`] when it has more than `limit` bytes, or why it did not come.
    pub async fn get(&self, url: &Url, limit: u64) -> Result<Vec<u8>, NetError> {
        match self.get_if_changed(url, limit, None).await? {
            Conditional::Changed { body, .. } => Ok(body),
            // Only an answer of 304 to a request without a condition gets here.
            Conditional::Unchanged => Err(NetError::Status {
                url: shown(url),
                status: StatusCode::NOT_MODIFIED.as_u16(),
                retry_after: None,
            }),
        }
    }

    /// Returns the whole body at `url` unless it is still what `etag` stands for.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_if_changed(
        &self,
        url: &Url,
        limit: u64,
        etag: Option<&str>,
    ) -> Result<Conditional, NetError> {
        let mut backoff = self.backoff();
        loop {
            match self.attempt_whole(url, limit, etag).await {
                Ok(answer) => return Ok(answer),
                Err(error) => backoff.pause(error).await?,
            }
        }
    }

    /// Opens `url` from byte `offset` on. What breaks off is taken up again where it ended.
    ///
    /// # Errors
    /// Returns [`NetError::Range`] when there are not that many bytes, or why nothing came.
    pub async fn open(&self, url: &Url, offset: u64) -> Result<Body, NetError> {
        let mut backoff = self.backoff();
        loop {
            match self.stream(url, offset).await {
                Ok(stream) => return Ok(Body::new(self.clone(), url.clone(), offset, stream)),
                Err(error) => backoff.pause(error).await?,
            }
        }
    }

    /// Opens `url` once. The stream may begin before `offset` when the server ignores ranges.
    pub(super) async fn stream(&self, url: &Url, offset: u64) -> Result<Stream, NetError> {
        if url.scheme() == "file" {
            return Stream::of_file(url, offset).await;
        }
        let mut request = self.request(Method::GET, url).await?;
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let no_such_part = || NetError::Range {
            url: shown(url),
            offset,
        };
        let response = match self.get_once(url, request).await {
            Err(NetError::Status { status: 416, .. }) => return Err(no_such_part()),
            other => other?,
        };
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Ok(Stream::of_response(response, 0, self.idle_timeout()));
        }
        match content_range(&response) {
            Some(start) if start == offset => {
                Ok(Stream::of_response(response, offset, self.idle_timeout()))
            }
            _ => Err(no_such_part()),
        }
    }

    /// Returns what counts failures and waits between attempts, for work of several requests.
    pub fn backoff(&self) -> Backoff {
        Backoff {
            options: self.shared.options.clone(),
            failures: 0,
        }
    }

    async fn attempt_whole(
        &self,
        url: &Url,
        limit: u64,
        etag: Option<&str>,
    ) -> Result<Conditional, NetError> {
        let mut stream = if url.scheme() == "file" {
            Stream::of_file(url, 0).await?
        } else {
            let mut request = self.request(Method::GET, url).await?;
            if let Some(etag) = etag {
                request = request.header(IF_NONE_MATCH, etag);
            }
            let response = self.get_once(url, request).await?;
            if response.status() == StatusCode::NOT_MODIFIED {
                return Ok(Conditional::Unchanged);
            }
            Stream::of_response(response, 0, self.idle_timeout())
        };
        let etag = stream.etag.clone();
        let body = stream.collect(url, limit).await?;
        Ok(Conditional::Changed { body, etag })
    }

    /// Sends `request`; every answer but success and `304` is an error.
    async fn get_once(&self, url: &Url, request: RequestBuilder) -> Result<Response, NetError> {
        let response = timeout(self.idle_timeout(), request.send())
            .await
            .map_err(|_| NetError::Timeout { url: shown(url) })?
            .map_err(|error| NetError::of_request(url, error))?;
        let status = response.status();
        let url = || shown(url);
        match status {
            _ if status.is_success() || status == StatusCode::NOT_MODIFIED => Ok(response),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(NetError::NotFound { url: url() }),
            _ => Err(NetError::Status {
                url: url(),
                status: status.as_u16(),
                // The other form, a date, would need the clock; the usual wait serves as well.
                retry_after: header(&response, RETRY_AFTER).and_then(|text| text.parse().ok()),
            }),
        }
    }

    /// Returns how long a connection may be silent. The HTTP library has such a limit too, but
    /// counts the time that sending takes.
    pub(super) fn idle_timeout(&self) -> Duration {
        self.shared.options.idle_timeout
    }

    pub(super) async fn request(
        &self,
        method: Method,
        url: &Url,
    ) -> Result<RequestBuilder, NetError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NetError::Scheme { url: shown(url) });
        }
        if self.shared.network == Network::Offline {
            return Err(NetError::Offline { url: shown(url) });
        }
        let http = self
            .shared
            .http
            .get_or_try_init(|| async { self.shared.connect() })
            .await?;
        let request = match &self.credentials {
            Some(credentials) => credentials.request(http, method, url),
            None => http.request(method, url.clone()),
        };
        // Bytes are hashed and resumed as stored, so no coding may be put around them.
        Ok(request.header(ACCEPT_ENCODING, "identity"))
    }
}

impl Shared {
    fn connect(&self) -> Result<reqwest::Client, NetError> {
        let builder = builder(&self.options, self.certificates.as_ref())?;
        builder.build().map_err(|source| NetError::Setup { source })
    }
}

impl Certificates {
    /// Reads the file that `context` names, if it names one.
    pub(super) fn of(context: &Context) -> Result<Option<Self>, NetError> {
        let Some(path) = &context.certificates else {
            return Ok(None);
        };
        Ok(Some(Self {
            pem: fs::read(path)?,
            path: path.clone(),
        }))
    }
}

/// Returns what clients are built from.
pub(super) fn builder(
    options: &ClientOptions,
    certificates: Option<&Certificates>,
) -> Result<reqwest::ClientBuilder, NetError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("envbox/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        // A redirect would tell the next host of it: some URLs have a token in their path.
        .referer(false)
        // Other crates of this program may switch these on for the whole graph.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate();
    if !options.system_proxies {
        builder = builder.no_proxy();
    }
    if let Some(Certificates { path, pem }) = certificates {
        let bundle =
            Certificate::from_pem_bundle(pem).map_err(|source| NetError::Certificates {
                path: path.clone(),
                source,
            })?;
        if bundle.is_empty() {
            return Err(NetError::NoCertificates { path: path.clone() });
        }
        builder = builder.tls_certs_only(bundle);
    }
    Ok(builder)
}

/// Returns the first byte that a `206` holds.
pub(super) fn content_range(response: &Response) -> Option<u64> {
    let text = header(response, CONTENT_RANGE)?;
    let (start, _) = text.strip_prefix("bytes ")?.split_once('-')?;
    start.trim().parse().ok()
}

pub(super) fn etag(response: &Response) -> Option<String> {
    header(response, ETAG).map(str::to_owned)
}

fn header(response: &Response, name: reqwest::header::HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

/// Counts failures and waits between attempts.
pub struct Backoff {
    options: ClientOptions,
    failures: u32,
}

impl Backoff {
    /// Waits before the next attempt.
    ///
    /// # Errors
    /// Returns `error` when there is none: it will not pass, came too often, or the registry asks
    /// to wait longer than the client is ready to.
    pub async fn pause(&mut self, error: NetError) -> Result<(), NetError> {
        self.failures += 1;
        if !error.is_transient() || self.failures >= self.options.attempts {
            return Err(error);
        }
        let longest = self.options.longest_wait;
        let mut wait = self.options.first_wait * 5u32.saturating_pow(self.failures - 1);
        if let NetError::Status {
            retry_after: Some(seconds),
            ..
        } = &error
        {
            let asked = Duration::from_secs(*seconds);
            if asked > longest {
                return Err(error);
            }
            wait = wait.max(asked);
        }
        tokio::time::sleep(wait.min(longest)).await;
        Ok(())
    }

    /// Forgets earlier failures because the work went on.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}
