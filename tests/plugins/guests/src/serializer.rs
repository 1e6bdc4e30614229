use crate::exports::pointsman::plugin::serializer::*;
use crate::vice;

impl Guest for crate::Guest {
    fn configure(side: Side, mut settings: Settings) -> Result<Wants, String> {
        settings.push(("side".into(), if side == Side::Key { "key".into() } else { "value".into() }));
        vice::configure(settings)?;
        Ok(Wants { headers: vice::setting("header").map(|name| vec![name]) })
    }

    fn serialize(
        topics: TopicColumn,
        mut payloads: Column,
        headers: Option<HeaderColumns>,
    ) -> Result<Serialized, String> {
        let mut added_headers = None;
        let mut refused = vec![];
        let side = vice::setting("side").expect("configured");
        if !vice::strikes(&format!("serialize ({side})"), [payloads.data.as_slice()]) {
            let payloads = framed(&payloads, &side);
            return Ok(Serialized { payloads, added_headers, refused });
        }
        vice::act()?;
        match vice::mode().as_str() {
            "frame" => payloads = framed(&payloads, &side),
            "echo" => added_headers = headers,
            "refuse" => match vice::setting("bad") {
                Some(bad) => {
                    for (index, payload) in (0..).zip(vice::entries(&payloads.lengths, &payloads.data)) {
                        if payload.is_some_and(|payload| vice::holds(payload, &bad)) {
                            refused.push(Refusal { index, reason: "not with that word".into() });
                        }
                    }
                    payloads = framed(&payloads, &side);
                }
                None => refused = vec![Refusal { index: 0, reason: format!("not for {}", topics.names[0]) }],
            },
            "huge-result" => payloads.data.resize(16 << 20, 0),
            "bad-lengths" => payloads.data.push(0),
            "few-lengths" => {
                payloads.lengths.pop();
            }
            _ => {}
        }
        Ok(Serialized { payloads, added_headers, refused })
    }

    fn close() {}
}

/// Each payload after the name of its side; null stays null.
fn framed(payloads: &Column, prefix: &str) -> Column {
    let mut out = Column { lengths: vec![], data: vec![] };
    let mut at = 0;
    for &length in &payloads.lengths {
        if length < 0 {
            out.lengths.push(length);
            continue;
        }
        out.lengths.push(length + prefix.len() as i32);
        out.data.extend(prefix.as_bytes());
        out.data.extend(&payloads.data[at..at + length as usize]);
        at += length as usize;
    }
    out
}
