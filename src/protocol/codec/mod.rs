//! Messages as bytes: one file per API, over one reader and one writer that know both encodings, the old one and the
//! flexible one (KIP-482).
//!
//! The decoders are our own although the `kafka-protocol` crate has them all: its arrays reserve what their count
//! claims, so that a frame of ten bytes can ask for gigabytes. Here a count is checked against the bytes that are left
//! before anything is reserved: a frame of N bytes never makes more than a small multiple of N. The crate is the oracle
//! of the tests, in every version.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
pub mod api_versions;
pub mod create_topics;
pub mod describe_configs;
mod end_txn;
mod find_coordinator;
mod frame;
mod init_producer_id;
pub mod list_offsets;
pub mod metadata;
mod produce;
mod read;
pub mod sasl;
#[cfg(test)]
mod tests;
mod txn_offset_commit;
mod write;

pub use frame::{Frame, IoSlices};
pub use read::DecodeError;
pub use write::EncodeError;

use super::messages::{ApiKey, Request, Response};
use read::Reader;

/// The bytes of a request, header included.
pub fn encode_request(
    request: Request,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Frame, EncodeError> {
    match request {
        Request::Produce(request) => produce::encode(request, version, correlation_id, client_id),
        Request::Metadata(request) => metadata::encode(&request, version, correlation_id, client_id),
        Request::InitProducerId(request) => init_producer_id::encode(&request, version, correlation_id, client_id),
        Request::FindCoordinator(request) => find_coordinator::encode(&request, version, correlation_id, client_id),
        Request::AddPartitionsToTxn(request) => {
            add_partitions_to_txn::encode(&request, version, correlation_id, client_id)
        }
        Request::AddOffsetsToTxn(request) => add_offsets_to_txn::encode(&request, version, correlation_id, client_id),
        Request::TxnOffsetCommit(request) => txn_offset_commit::encode(&request, version, correlation_id, client_id),
        Request::EndTxn(request) => end_txn::encode(&request, version, correlation_id, client_id),
    }
}

/// To which request a response belongs. `frame` is without its length.
pub fn correlation_id(frame: &[u8]) -> Result<i32, DecodeError> {
    Reader::new(frame, false).i32()
}

/// A response to what [`encode_request`] made. `frame` is without its length.
pub fn decode_response(api: ApiKey, version: i16, frame: &[u8]) -> Result<Response, DecodeError> {
    Ok(match api {
        ApiKey::Produce => Response::Produce(produce::decode(frame, version)?),
        ApiKey::Metadata => Response::Metadata(metadata::decode(frame, version)?),
        ApiKey::InitProducerId => Response::InitProducerId(init_producer_id::decode(frame, version)?),
        ApiKey::FindCoordinator => Response::FindCoordinator(find_coordinator::decode(frame, version)?),
        ApiKey::AddPartitionsToTxn => Response::AddPartitionsToTxn(add_partitions_to_txn::decode(frame, version)?),
        ApiKey::AddOffsetsToTxn => Response::AddOffsetsToTxn(add_offsets_to_txn::decode(frame, version)?),
        ApiKey::TxnOffsetCommit => Response::TxnOffsetCommit(txn_offset_commit::decode(frame, version)?),
        ApiKey::EndTxn => Response::EndTxn(end_txn::decode(frame, version)?),
        ApiKey::ApiVersions
        | ApiKey::CreateTopics
        | ApiKey::ListOffsets
        | ApiKey::DescribeConfigs
        | ApiKey::SaslHandshake
        | ApiKey::SaslAuthenticate => {
            return Err(Reader::new(frame, false).error("a response that no request of the producer has"));
        }
    })
}
