//! The bytes of a batch's records.

use bytes::Bytes;
use std::iter;

/// In one piece; or in three, where the value of a large record was not copied and stands between what was encoded before
/// and behind it. They never change, so that a socket may still hold them while the batch is sent again.
#[derive(Clone, Debug, Default)]
pub struct Body {
    encoded: Bytes,
    /// And where in `encoded` it stands. Boxed, as it is rare and bodies are passed on often.
    value: Option<Box<(usize, Bytes)>>,
}

/// A body of fewer bytes is summed with each header sooner than a checksum of its own is combined with the header's.
const SUMMED_BELOW: usize = 1024;

impl Body {
    /// What was encoded, with a value before its byte `at`.
    pub fn around(encoded: Bytes, at: usize, value: Bytes) -> Body {
        Body { encoded, value: Some(Box::new((at, value))) }
    }

    /// Bytes in all.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks, and a batch without records is never sent")]
    pub fn len(&self) -> usize {
        self.encoded.len() + self.value.as_ref().map_or(0, |value| value.1.len())
    }

    /// In order; a piece may be empty.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let (first, others) = match self.value.as_deref() {
            None => (&self.encoded[..], None),
            Some((at, value)) => (&self.encoded[..*at], Some([&value[..], &self.encoded[*at..]])),
        };
        iter::once(first).chain(others.into_iter().flatten())
    }

    /// As [`Body::pieces`], each to be kept by itself.
    pub fn into_pieces(self) -> impl Iterator<Item = Bytes> {
        let mut first = self.encoded;
        let others = self.value.map(|value| {
            let behind = first.split_off(value.0);
            [value.1, behind]
        });
        iter::once(first).chain(others.into_iter().flatten())
    }

    /// In one piece, copied if it is in several.
    pub fn to_bytes(&self) -> Bytes {
        match &self.value {
            None => self.encoded.clone(),
            Some(_) => self.pieces().collect::<Vec<_>>().concat().into(),
        }
    }

    /// The checksum, for [`super::record_batch::Header::encode`]; `None` of a small body.
    pub fn crc(&self) -> Option<u32> {
        (self.len() >= SUMMED_BELOW).then(|| self.append_crc(0))
    }

    /// The checksum of these bytes behind others.
    pub(super) fn append_crc(&self, crc: u32) -> u32 {
        self.pieces().fold(crc, crc32c::crc32c_append)
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Body {
        Body { encoded: bytes.into(), value: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_in_order() {
        let whole = b"beforevaluebehind";
        let value = Bytes::from_static(b"value");
        for len in [0, 100, 2_000] {
            let padding = vec![b'x'; len];
            let encoded = Bytes::from([b"before", &padding[..], b"behind"].concat());
            let body = Body::around(encoded, 6 + len, value.clone());
            let expected = [&whole[..6], &padding, &whole[6..]].concat();
            assert_eq!(body.len(), expected.len());
            assert_eq!(body.to_bytes(), expected);
            assert_eq!(body.pieces().collect::<Vec<_>>().concat(), expected);
            assert_eq!(body.clone().into_pieces().collect::<Vec<_>>().concat(), expected);
            assert_eq!(body.crc(), Body::from(expected.clone()).crc());
            assert_eq!(body.append_crc(7), crc32c::crc32c_append(7, &expected));
        }
        let one = Body::from(whole.to_vec());
        assert_eq!((one.len(), one.to_bytes()), (whole.len(), Bytes::from_static(whole)));
        assert_eq!(one.into_pieces().collect::<Vec<_>>().concat(), whole);
    }
}
