//! One POST to a token endpoint, over HTTP/1.1 and TLS.

use crate::net::connect::io_words;
use crate::net::tls::TlsClient;
use crate::net::trouble::Trouble;
use crate::security::Url;
use std::io::Read;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// What came back. No `Debug`: it may be a token.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// No token and no error page is that long.
const ANSWER_LEN_MAX: usize = 1024 * 1024;
const HEADERS_MAX: usize = 100;

/// Posts a form. `authorization` is the value of that header.
pub(super) async fn post(
    url: &Url,
    tls: &TlsClient,
    authorization: &str,
    form: &str,
    connect_timeout: Duration,
    read_timeout: Duration,
) -> Result<Answer, Trouble> {
    let late = |what: &str, limit: Duration| Trouble::Failed(format!("{what} within {} ms", limit.as_millis()));
    let connecting = async {
        let stream = TcpStream::connect((url.host.as_str(), url.port)).await;
        stream.map_err(|error| Trouble::Failed(io_words(&error)))
    };
    let connected = timeout(connect_timeout, async {
        let stream = connecting.await?;
        if url.tls { tls.connect(stream, &url.host).await.map(Either::Tls) } else { Ok(Either::Plain(stream)) }
    });
    let stream = connected.await.unwrap_or_else(|_| Err(late("no connection", connect_timeout)));
    let request = request(url, authorization, form);
    let talk = async {
        match stream? {
            Either::Plain(mut stream) => exchange(&mut stream, &request).await,
            Either::Tls(mut stream) => exchange(&mut stream, &request).await,
        }
    };
    timeout(read_timeout, talk).await.unwrap_or_else(|_| Err(late("no answer", read_timeout)))
}

enum Either<P, T> {
    Plain(P),
    Tls(T),
}

fn request(url: &Url, authorization: &str, form: &str) -> Zeroizing<String> {
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let mut request = Zeroizing::new(String::with_capacity(512 + url.path.len() + authorization.len() + form.len()));
    for part in [
        "POST ",
        &url.path,
        " HTTP/1.1\r\nHost: ",
        &format!("{host}:{}", url.port),
        "\r\nAuthorization: ",
        authorization,
        "\r\nContent-Type: application/x-www-form-urlencoded\r\nAccept: application/json\r\nConnection: close\r\n",
        concat!("User-Agent: ", env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"), "\r\n"),
        &format!("Content-Length: {}\r\n\r\n", form.len()),
        form,
    ] {
        request.push_str(part);
    }
    request
}

async fn exchange<S>(stream: &mut S, request: &str) -> Result<Answer, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let io = |error: std::io::Error| {
        super::super::tls::trouble_of(&error).unwrap_or_else(|| Trouble::Failed(io_words(&error)))
    };
    stream.write_all(request.as_bytes()).await.map_err(io)?;
    stream.flush().await.map_err(io)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
    loop {
        if let Some(answer) = parse(&bytes, false)? {
            return Ok(answer);
        }
        if bytes.len() > ANSWER_LEN_MAX {
            return Err(Trouble::Failed("its answer is longer than a megabyte".to_owned()));
        }
        match stream.read_buf(&mut *bytes).await {
            Ok(0) => break,
            Ok(_) => {}
            // As with brokers: the length says whether something is missing.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(io(error)),
        }
    }
    parse(&bytes, true)?
        .ok_or_else(|| Trouble::Failed("it closed the connection in the middle of its answer".to_owned()))
}

/// The answer, if it is whole; `at_end` if nothing more will come.
fn parse(bytes: &[u8], at_end: bool) -> Result<Option<Answer>, Trouble> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let foul = |what: &str| Trouble::Failed(format!("it does not speak HTTP, or badly: {what}"));
    let len = match head.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(foul(&error.to_string())),
    };
    let status = head.code.ok_or_else(|| foul("no status"))?;
    let header = |name: &str| {
        let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let body = &bytes[len..];
    let body = if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        let mut whole = Zeroizing::new(Vec::with_capacity(body.len()));
        match chunked_transfer::Decoder::new(body).read_to_end(&mut whole) {
            Ok(_) => whole,
            Err(_) if !at_end => return Ok(None),
            Err(error) => return Err(foul(&error.to_string())),
        }
    } else if let Some(length) = header("content-length") {
        let length: usize = length.trim().parse().map_err(|_| foul("a length that is none"))?;
        match body.get(..length) {
            Some(body) => Zeroizing::new(body.to_vec()),
            None => return Ok(None),
        }
    } else if at_end {
        Zeroizing::new(body.to_vec())
    } else {
        return Ok(None);
    };
    Ok(Some(Answer { status, body }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(text: &str, at_end: bool) -> Option<(u16, Vec<u8>)> {
        let answer = parse(text.as_bytes(), at_end).unwrap_or_else(|trouble| panic!("{trouble}"));
        answer.map(|answer| (answer.status, answer.body.to_vec()))
    }

    #[test]
    fn bodies_end_in_three_ways() {
        let head = "HTTP/1.1 200 OK\r\n";
        assert_eq!(body(&format!("{head}Content-Length: 2\r\n\r\n{{}}x"), false), Some((200, b"{}".to_vec())));
        assert_eq!(body(&format!("{head}content-length: 3\r\n\r\n{{}}"), false), None);
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n1\r\n}}\r\n");
        assert_eq!(body(&chunked, false), None);
        assert_eq!(body(&format!("{chunked}0\r\n\r\n"), false), Some((200, b"{}".to_vec())));
        assert_eq!(body("HTTP/1.0 401 No\r\n\r\n{}", false), None);
        assert_eq!(body("HTTP/1.0 401 No\r\n\r\n{}", true), Some((401, b"{}".to_vec())));
        assert_eq!(body("HTTP/1.1 200", true), None);
    }

    #[test]
    fn what_is_not_http_is_said() {
        let Err(trouble) = parse(b"SSH-2.0-OpenSSH\r\n", false) else { panic!("taken") };
        assert!(trouble.to_string().starts_with("it does not speak HTTP"), "{trouble}");
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in any::<Vec<u8>>(), at_end: bool) {
            let _ = parse(&bytes, at_end);
            let _ = parse(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]].concat(), at_end);
        }
    }
}
