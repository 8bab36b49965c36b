//! The client against a server that misbehaves on purpose.

#[path = "../../../tests/support/http.rs"]
pub(crate) mod http;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Answer, Server, nobody};
use jiff::Timestamp;
use url::Url;

use crate::base::{Context, Explain, Kind, Network};
use crate::net::{
    Client, ClientOptions, Conditional, FilePart, Method, NetError, Payload, Request, block_on,
    block_on_large_stack,
};

fn context() -> Context {
    Context::new("store".into(), Timestamp::UNIX_EPOCH)
}

fn options() -> ClientOptions {
    ClientOptions {
        first_wait: Duration::ZERO,
        longest_wait: Duration::ZERO,
        system_proxies: false,
        ..ClientOptions::default()
    }
}

fn client() -> Client {
    Client::with_options(&context(), options()).unwrap()
}

fn url(server: &Server) -> Url {
    Url::parse(&format!("{}/file", server.url())).unwrap()
}

fn read_all(client: &Client, url: &Url, offset: u64) -> Result<Vec<u8>, NetError> {
    block_on(async {
        let mut body = client.open(url, offset).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = body.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    })
}

#[test]
fn failures_that_pass_are_tried_again() {
    let data = b"0123456789".to_vec();
    for failure in [
        Answer::Status(500, vec![]),
        Answer::Status(503, vec![("Retry-After", "0".to_owned())]),
        Answer::Status(429, vec![]),
        Answer::HangUp,
        Answer::Truncated(data.clone(), 4),
    ] {
        let server = Server::start();
        let shown = format!("{failure:?}");
        server.answers("/file", vec![failure, Answer::Bytes(data.clone())]);
        let got = block_on(client().get(&url(&server), 100));
        assert_eq!(got.unwrap(), data, "{shown}");
        assert_eq!(server.count("/file"), 2, "{shown}");
    }
}

#[test]
fn failures_that_stay_are_given_up() {
    let data = b"0123456789".to_vec();
    for (answer, requests) in [
        (Answer::Status(404, vec![]), 1),
        (Answer::Status(403, vec![]), 1),
        (Answer::Status(501, vec![]), 1),
        (Answer::Status(500, vec![]), 4),
        (
            Answer::Status(503, vec![("Retry-After", "3600".to_owned())]),
            1,
        ),
        (Answer::Truncated(data.clone(), 4), 4),
    ] {
        let server = Server::start();
        let shown = format!("{answer:?}");
        server.answers("/file", vec![answer]);
        let error = block_on(client().get(&url(&server), 100)).unwrap_err();
        assert_eq!(error.kind(), Kind::Network, "{shown}");
        assert_eq!(server.count("/file"), requests, "{shown}: {error}");
    }
}

#[test]
fn errors_say_what_happened() {
    let server = Server::start();
    let get = |limit| block_on(client().get(&url(&server), limit)).unwrap_err();
    assert!(matches!(get(1), NetError::NotFound { .. }));
    server.file("/file", b"0123456789");
    assert!(matches!(get(9), NetError::TooLarge { limit: 9, .. }));
    server.answers("/file", vec![Answer::Endless(vec![0; 100])]);
    assert!(matches!(get(1000), NetError::TooLarge { .. }));
    server.answers("/file", vec![Answer::Truncated(vec![0; 10], 4)]);
    assert!(matches!(
        get(100),
        NetError::Truncated {
            expected: Some(10),
            found: 4,
            ..
        }
    ));
    let nobody = Url::parse(&nobody()).unwrap();
    let error = block_on(client().get(&nobody, 1)).unwrap_err();
    assert!(matches!(error, NetError::Connect { .. }), "{error:?}");
}

#[test]
fn silence_is_a_timeout() {
    let patience = ClientOptions {
        attempts: 2,
        idle_timeout: Duration::from_millis(20),
        ..options()
    };
    let client = Client::with_options(&context(), patience).unwrap();
    for answer in [Answer::Silence, Answer::Stall(vec![0; 10], 3)] {
        let server = Server::start();
        server.answers("/file", vec![answer]);
        let error = block_on(client.get(&url(&server), 100)).unwrap_err();
        assert!(matches!(error, NetError::Timeout { .. }), "{error:?}");
    }
}

#[test]
fn broken_bodies_are_taken_up_where_they_ended() {
    let data = b"0123456789".to_vec();
    let broken = Answer::Truncated(data.clone(), 4);
    for (again, range) in [
        (Answer::Bytes(data.clone()), Some(4)),
        (Answer::IgnoringRange(data.clone()), Some(4)),
    ] {
        let server = Server::start();
        server.answers("/file", vec![broken.clone(), again]);
        assert_eq!(read_all(&client(), &url(&server), 0).unwrap(), data);
        assert_eq!(server.requests()[1].range(), range);
    }
}

#[test]
fn bodies_can_be_opened_in_the_middle() {
    let data = b"0123456789".to_vec();
    for answer in [
        Answer::Bytes(data.clone()),
        Answer::IgnoringRange(data.clone()),
    ] {
        let server = Server::start();
        server.answers("/file", vec![answer]);
        assert_eq!(read_all(&client(), &url(&server), 7).unwrap(), b"789");
    }
    let server = Server::start();
    server.file("/file", &data);
    let error = read_all(&client(), &url(&server), 11).unwrap_err();
    assert!(
        matches!(error, NetError::Range { offset: 11, .. }),
        "{error:?}"
    );
}

#[test]
fn etags_save_the_body() {
    let server = Server::start();
    server.answers("/file", vec![Answer::Tagged(b"index".to_vec(), "\"one\"")]);
    let ask = |etag| block_on(client().get_if_changed(&url(&server), 100, etag)).unwrap();
    let changed = Conditional::Changed {
        body: b"index".to_vec(),
        etag: Some("\"one\"".to_owned()),
    };
    assert_eq!(ask(None), changed);
    assert_eq!(ask(Some("\"zero\"")), changed);
    assert_eq!(ask(Some("\"one\"")), Conditional::Unchanged);
}

#[test]
fn offline_sends_nothing() {
    let server = Server::start();
    server.file("/file", b"");
    let mut context = context();
    context.network = Network::Offline;
    let client = Client::with_options(&context, options()).unwrap();
    let error = block_on(client.get(&url(&server), 100)).unwrap_err();
    assert!(matches!(error, NetError::Offline { .. }));
    assert!(server.requests().is_empty());
}

#[test]
fn files_are_read_also_offline() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a b");
    std::fs::write(&path, b"0123456789").unwrap();
    let url = Url::from_file_path(&path).unwrap();
    let mut context = context();
    context.network = Network::Offline;
    let client = Client::new(&context).unwrap();
    assert_eq!(block_on(client.get(&url, 10)).unwrap(), b"0123456789");
    assert_eq!(read_all(&client, &url, 8).unwrap(), b"89");
    let error = read_all(&client, &url, 11).unwrap_err();
    assert!(matches!(error, NetError::Range { .. }));
    let missing = Url::from_file_path(directory.path().join("c")).unwrap();
    let error = block_on(client.get(&missing, 10)).unwrap_err();
    assert!(matches!(error, NetError::NotFound { .. }));
}

#[test]
fn requests_say_who_asks_and_want_no_coding() {
    let server = Server::start();
    server.file("/file", b"");
    block_on(client().get(&url(&server), 100)).unwrap();
    let request = &server.requests()[0];
    assert!(request.headers["user-agent"].starts_with("envbox/"));
    assert_eq!(request.headers["accept-encoding"], "identity");
}

#[test]
fn requests_of_any_method_carry_what_they_are_given() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let data: Vec<u8> = (0..300_000u32).map(|number| number as u8).collect();
    std::fs::write(&path, &data).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let part = Payload::File(FilePart {
        path,
        offset: 1000,
        length: 200_000,
        sent: Arc::new(move |sent| telling.lock().unwrap().push(sent)),
    });
    for (method, payload, body) in [
        (Method::POST, Payload::Empty, &data[..0]),
        (Method::PUT, Payload::Bytes(data[..9].to_vec()), &data[..9]),
        (Method::PATCH, part, &data[1000..201_000]),
        (Method::DELETE, Payload::Empty, &data[..0]),
    ] {
        let server = Server::start();
        // Lost once, and what is sent again is the same.
        server.answers("/file", vec![Answer::HangUp, Answer::Bytes(b"ok".to_vec())]);
        let request = Request::new(method.clone(), url(&server))
            .header("x-name", "value")
            .payload(payload);
        let reply = block_on(async { client().exchange(&request).await?.collect(2).await });
        assert_eq!(reply.unwrap(), b"ok");
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        for request in requests {
            assert_eq!(request.method, method.as_str());
            assert_eq!(request.headers["x-name"], "value");
            assert_eq!(request.headers["content-length"], body.len().to_string());
            assert_eq!(request.body, body);
        }
    }
    let told = told.lock().unwrap();
    assert_eq!(told.last(), Some(&201_000));
    assert!(told.len() > 2);
}

#[test]
fn answers_keep_their_status_and_headers() {
    let server = Server::start();
    let headers = vec![
        ("Location", "../other?a=b".to_owned()),
        ("WWW-Authenticate", "Basic".to_owned()),
        ("WWW-Authenticate", "Bearer".to_owned()),
    ];
    server.answers("/a/file", vec![Answer::Status(401, headers)]);
    let url = Url::parse(&format!("{}/a/file?key=secret", server.url())).unwrap();
    let request = Request::new(Method::HEAD, url);
    let reply = block_on(client().exchange(&request)).unwrap();
    assert_eq!(reply.status(), 401);
    assert_eq!(reply.headers("www-authenticate"), ["Basic", "Bearer"]);
    let location = format!("{}/other?a=b", server.url());
    assert_eq!(reply.location().unwrap().as_str(), location);
    // The query of an upload may be the signature that allows it.
    assert!(!reply.as_error().to_string().contains("secret"));
}

#[test]
fn exchanges_are_as_patient_as_downloads() {
    let request = |server: &Server| Request::new(Method::POST, url(server));
    let server = Server::start();
    let busy = vec![("Retry-After", "0".to_owned())];
    let answers = vec![Answer::Status(429, busy), Answer::Bytes(vec![])];
    server.answers("/file", answers);
    let reply = block_on(client().exchange(&request(&server))).unwrap();
    assert_eq!((reply.status(), server.count("/file")), (200, 2));

    let patience = ClientOptions {
        attempts: 2,
        idle_timeout: Duration::from_millis(20),
        ..options()
    };
    let client = Client::with_options(&context(), patience).unwrap();
    server.answers("/file", vec![Answer::Silence]);
    let error = block_on(client.exchange(&request(&server))).err().unwrap();
    assert!(matches!(error, NetError::Timeout { .. }), "{error:?}");

    let server = Server::start();
    let mut context = context();
    context.network = Network::Offline;
    let client = Client::with_options(&context, options()).unwrap();
    let error = block_on(client.exchange(&request(&server))).err().unwrap();
    assert!(matches!(error, NetError::Offline { .. }));
    assert!(server.requests().is_empty());
}

#[test]
fn certificates_are_checked_before_use() {
    let directory = tempfile::tempdir().unwrap();
    let mut context = context();
    context.certificates = Some(directory.path().join("missing.pem"));
    let error = Client::new(&context).err().unwrap();
    assert_eq!(error.kind(), Kind::Host);
    // An empty set would be taken silently, and then no server be trusted.
    let path = directory.path().join("other.pem");
    std::fs::write(&path, "not PEM").unwrap();
    context.certificates = Some(path);
    let client = Client::new(&context).unwrap();
    let error = block_on(client.get(&Url::parse(&nobody()).unwrap(), 1)).unwrap_err();
    assert!(
        matches!(error, NetError::NoCertificates { .. }),
        "{error:?}"
    );
}

#[test]
fn a_large_stack_is_there_when_asked_for() {
    #[inline(never)]
    fn deep(left: usize) -> u8 {
        let frame = std::hint::black_box([1u8; 64 * 1024]);
        if left == 0 {
            frame[0]
        } else {
            deep(left - 1) & frame[left]
        }
    }
    assert_eq!(block_on_large_stack(|| async { deep(100) }), 1);
}
