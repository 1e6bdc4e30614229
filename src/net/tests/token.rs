//! Tokens from each place, and from token endpoints that are honest, slow, wrong or hostile.

use super::*;
use crate::net::test_brokers::listen;
use crate::security::{Secret, Trust, Url};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn oauth(source: TokenSource) -> OAuthBearer {
    OAuthBearer {
        source,
        extensions: Vec::new(),
        subject_claim: "sub".into(),
        refresh_factor: 0.8,
        refresh_jitter: 0.0,
        refresh_period_min: Duration::ZERO,
        refresh_buffer: Duration::ZERO,
    }
}

fn jwt(subject: &str, expires_at: i64) -> String {
    let body = format!(r#"{{"sub":"{subject}","exp":{expires_at}}}"#);
    format!("e30.{}.hush-hush-signature", URL_SAFE_NO_PAD.encode(body))
}

/// Seconds since 1970, so far ahead that no run of the tests sees it.
const FAR: i64 = 4_000_000_000;

/// An endpoint: `say` makes each answer from the number of the request and its text.
fn endpoint(say: impl Fn(usize, String) -> String + Send + Sync + 'static) -> Url {
    let count = AtomicUsize::new(0);
    let address = listen(move |_, mut stream: TcpStream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut text, mut length) = (String::new(), 0);
        loop {
            let start = text.len();
            if reader.read_line(&mut text).unwrap_or(0) == 0 || text[start..].trim().is_empty() {
                break;
            }
            let line = text[start..].to_ascii_lowercase();
            if let Some(found) = line.strip_prefix("content-length:") {
                length = found.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        text.push_str(&String::from_utf8(body).unwrap());
        let _ = stream.write_all(say(count.fetch_add(1, Ordering::Relaxed), text).as_bytes());
    });
    Url { tls: false, host: "127.0.0.1".into(), port: address.port(), path: "/token".into() }
}

fn ok(json: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len())
}

fn credentials(url: Url) -> ClientCredentials {
    ClientCredentials {
        url,
        client_id: "me".into(),
        client_secret: Secret::new("hush-hush secret"),
        scope: Some("a b".into()),
        urlencode: false,
        trust: Trust::Pem(crate::net::test_certificates::Authority::new("us").pem),
        connect_timeout: Duration::from_secs(10),
        read_timeout: Duration::from_secs(10),
    }
}

fn tokens(url: Url) -> Tokens {
    Tokens::load(&oauth(TokenSource::ClientCredentials(credentials(url)))).unwrap()
}

#[tokio::test]
async fn an_endpoint_is_asked_once_for_as_long_as_its_token_lives() {
    let url = endpoint(|number, text| {
        assert_eq!(number, 0, "asked twice");
        assert!(text.starts_with("POST /token HTTP/1.1\r\n"), "{text}");
        let authorization = STANDARD.encode("me:hush-hush secret");
        assert!(text.contains(&format!("Authorization: Basic {authorization}\r\n")));
        assert!(text.ends_with("\r\n\r\ngrant_type=client_credentials&scope=a+b"), "{text}");
        ok(&format!(r#"{{"access_token":"{}","expires_in":60}}"#, jwt("alice", FAR)))
    });
    let tokens = Arc::new(tokens(url));
    assert_eq!(tokens.subject(), "me");
    let (first, second) = tokio::join!(tokens.token(), tokens.token());
    assert_eq!(*first.unwrap(), jwt("alice", FAR));
    assert_eq!(*second.unwrap(), jwt("alice", FAR));
    assert_eq!(tokens.subject(), "alice");
    let message = tokens.message().await.unwrap();
    assert_eq!(message.as_slice(), format!("n,,\x01auth=Bearer {}\x01\x01", jwt("alice", FAR)).as_bytes());
}

#[tokio::test]
async fn an_old_token_serves_while_the_endpoint_is_down_until_it_ends() {
    let url = endpoint(|number, _| match number {
        // Due for a refresh at once, and good for a while.
        0 => ok(r#"{"access_token":"first","expires_in":1000}"#),
        _ => "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_owned(),
    });
    let settings = oauth(TokenSource::ClientCredentials(credentials(url)));
    let tokens = Tokens::load(&OAuthBearer { refresh_factor: 0.0, ..settings }).unwrap();
    assert_eq!(*tokens.token().await.unwrap(), "first");
    assert_eq!(*tokens.token().await.unwrap(), "first");
    if let Some(token) = &mut *tokens.current.lock().await {
        token.expires_at_ms = 0;
    }
    let Err(Trouble::Failed(words)) = tokens.token().await else { panic!("taken") };
    assert!(words.contains("it answered 503"), "{words}");
}

#[tokio::test]
async fn an_endpoint_that_refuses_or_makes_no_sense_is_quoted_without_secrets() {
    for (answer, is_refusal, words) in [
        (
            "HTTP/1.1 401 No\r\nContent-Length: 74\r\n\r\n{\"error\":\"invalid_client\",\"error_description\":\"hush-hush secret is wrong\"} ",
            true,
            "it answered 401 invalid_client: (hidden) is wrong",
        ),
        ("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", false, "it answered 500"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false, "its answer has no access_token"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", false, "in the middle of its answer"),
        ("SSH-2.0\r\n", false, "it does not speak HTTP"),
        ("", false, "in the middle of its answer"),
    ] {
        let tokens = tokens(endpoint(move |_, _| answer.to_owned()));
        let Err(trouble) = tokens.token().await else { panic!("{answer} was taken") };
        assert_eq!(trouble.is_refusal(), is_refusal, "{trouble}");
        let shown = trouble.to_string();
        assert!(shown.contains(words) && !shown.contains("hush"), "{shown}");
        assert!(shown.contains("the token endpoint http://127.0.0.1:"), "{shown}");
    }
    let bad = tokens(endpoint(|_, _| ok(r#"{"access_token":"a b"}"#)));
    assert!(bad.token().await.is_err_and(|trouble| trouble.to_string().contains("has blanks")));
}

#[tokio::test]
async fn an_endpoint_that_never_answers_or_never_ends_is_given_up() {
    let silent = listen(|_, stream| drop(std::io::copy(&mut &stream, &mut std::io::sink())));
    let url = Url { tls: false, host: "127.0.0.1".into(), port: silent.port(), path: "/".into() };
    let short = ClientCredentials { read_timeout: Duration::from_millis(30), ..credentials(url) };
    let tokens_of = |credentials| Tokens::load(&oauth(TokenSource::ClientCredentials(credentials))).unwrap();
    let Err(trouble) = tokens_of(short.clone()).token().await else { panic!("taken") };
    assert!(trouble.to_string().contains("no answer within 30 ms"), "{trouble}");
    // TLS to a port without it.
    let tls = Url { tls: true, ..short.url.clone() };
    let limit = Duration::from_millis(30);
    let Err(trouble) = tokens_of(ClientCredentials { url: tls, connect_timeout: limit, ..short }).token().await else {
        panic!("taken")
    };
    assert!(trouble.to_string().contains("no connection within 30 ms"), "{trouble}");
    let endless = listen(|_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let url = Url { tls: false, host: "127.0.0.1".into(), port: endless.port(), path: "/".into() };
    let Err(trouble) = tokens(url).token().await else { panic!("taken") };
    assert!(trouble.to_string().contains("longer than a megabyte"), "{trouble}");
}

#[tokio::test]
async fn a_file_is_read_anew_for_each_login() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, format!("{}\n", jwt("alice", FAR))).unwrap();
    let tokens = Tokens::load(&oauth(TokenSource::File(path.clone()))).unwrap();
    assert_eq!(tokens.subject(), "alice");
    assert_eq!(*tokens.token().await.unwrap(), jwt("alice", FAR));
    std::fs::write(&path, jwt("bob", FAR)).unwrap();
    assert_eq!(*tokens.token().await.unwrap(), jwt("bob", FAR));
    assert_eq!(tokens.subject(), "bob");
    std::fs::write(&path, jwt("carol", 1_000_000_000)).unwrap();
    assert_eq!(*tokens.token().await.unwrap(), jwt("bob", FAR), "an expired one does not replace a good one");
    let late = Tokens::load(&oauth(TokenSource::File(path.clone()))).unwrap();
    assert!(matches!(late.token().await, Err(Trouble::Refused(words)) if words == "the token has expired"));
    std::fs::remove_file(&path).unwrap();
    let gone = Tokens::load(&oauth(TokenSource::File(path))).unwrap();
    assert!(matches!(gone.token().await, Err(Trouble::Failed(words)) if words.contains("cannot be read")));
}

#[test]
fn an_unsecured_token_says_what_was_claimed() {
    let made = unsecured(&[("sub".into(), "alice".into())], Duration::from_secs(60), 5_000);
    let read = claims(&made);
    assert_eq!(
        (claim(&read, "sub").as_deref(), seconds(&read, "iat"), seconds(&read, "exp")),
        (Some("alice"), Some(5), Some(65))
    );
    assert!(made.ends_with('.'), "no signature");
}

#[test]
fn a_token_is_replaced_as_java_does_it() {
    let at = |life_s: i64, buffer_s, period_s| {
        let oauth = OAuthBearer {
            refresh_buffer: Duration::from_secs(buffer_s),
            refresh_period_min: Duration::from_secs(period_s),
            ..oauth(TokenSource::Fixed(Secret::new("t")))
        };
        Tokens::load(&oauth).unwrap().refresh_at(0, life_s * 1000) / 1000
    };
    assert_eq!(at(1000, 0, 0), 800);
    assert_eq!(at(1000, 300, 60), 700, "not within the buffer");
    assert_eq!(at(300, 200, 60), 100, "not within the buffer");
    assert_eq!(at(300, 200, 300), 240, "too short for both");
    assert_eq!(at(1000, 900, 90), 100);
    assert_eq!(at(1000, 950, 49), 50);
}
