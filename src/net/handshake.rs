use super::connect::io_words;
use super::frames::FrameBuffer;
use super::tls;
use super::trouble::Trouble;
use crate::protocol::codec::{self, api_versions};
use crate::protocol::messages::{ApiKey, ApiVersions};
use crate::protocol::{error_code, versions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Asks which versions the broker speaks. The error is in words for the user.
pub(super) async fn handshake<S>(stream: &mut S, client_id: &str) -> Result<ApiVersions, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut frames = FrameBuffer::with_len_max(ANSWER_LEN_MAX);
    let mut version = *versions::API_VERSIONS.end();
    for correlation_id in 0.. {
        let request = api_versions::encode(version, correlation_id, client_id).map_err(|error| error.to_string())?;
        let frame = exchange(stream, &mut frames, &request.to_vec()).await?;
        check_correlation(frame, correlation_id)?;
        let answer = api_versions::decode(frame, version)
            .map_err(|error| format!("the answer to ApiVersions version {version} cannot be read: {error}"))?;
        match answer.error_code {
            error_code::NONE => return Ok(answer.versions),
            // The broker says which it knows, and before Kafka 2.4 not even that (KIP-511). Asked once more, it has
            // no reason to refuse again.
            error_code::UNSUPPORTED_VERSION if correlation_id == 0 => {
                version = answer.versions.pick(ApiKey::ApiVersions, versions::API_VERSIONS).unwrap_or(0);
            }
            code => {
                let words = format!("the broker answered {} to ApiVersions", error_code::name(code));
                return Err(Trouble::Failed(words));
            }
        }
    }
    unreachable!("the second answer ends the loop")
}

/// Nobody has said yet who he is.
const ANSWER_LEN_MAX: usize = 512 * 1024;

/// Sends one request and waits for one answer.
pub(super) async fn exchange<'a, S>(
    stream: &mut S,
    frames: &'a mut FrameBuffer,
    request: &[u8],
) -> Result<&'a [u8], Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A broker that says no and hangs up may have closed before all is written: what it said comes first.
    let written = match stream.write_all(request).await {
        Ok(()) => stream.flush().await,
        failed => failed,
    };
    loop {
        // Twice, because a frame cannot be lent out of a loop that goes on otherwise.
        if frames.next_is_whole().map_err(|error| error.to_string())? {
            break;
        }
        match stream.read(frames.room()).await {
            Ok(0) if frames.is_partial() => {
                let words = "the broker closed the connection in the middle of an answer";
                return Err(Trouble::Failed(words.to_owned()));
            }
            Ok(0) => {
                return Err(Trouble::Failed(NO_ANSWER.to_owned()));
            }
            Ok(len) => frames.filled(len),
            // What TLS has to say is said by reading.
            Err(error) => {
                let plain = |error| Trouble::Failed(io_words(&error));
                return Err(tls::trouble_of(&error).unwrap_or_else(|| plain(written.err().unwrap_or(error))));
            }
        }
    }
    match frames.next() {
        Ok(Some(frame)) => Ok(frame),
        Ok(None) => unreachable!("it is whole"),
        Err(error) => Err(error.to_string().into()),
    }
}

/// What is said of a broker that hangs up instead of answering.
pub(super) const NO_ANSWER: &str = "the broker closed the connection without an answer";

/// Whether the answer is to the request that was sent.
pub(super) fn check_correlation(frame: &[u8], expected: i32) -> Result<(), String> {
    match codec::correlation_id(frame) {
        Ok(id) if id == expected => Ok(()),
        Ok(id) => Err(format!("an answer to request {id} came, while the one to request {expected} was due")),
        Err(error) => Err(format!("an answer cannot be read: {error}")),
    }
}
