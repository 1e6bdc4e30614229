//! Checks JSON against a schema or encodes it as Avro, and frames it with the schema's id: see README.md for its
//! settings.

mod avro;
mod decimal;
mod fault;
mod json;
mod json_schema;

use json_schema::JsonSchema;
use pointsman_plugin::{Output, Payload, Serializer, Settings, Side};

pointsman_plugin::export!(serializer: SchemaFrame);

/// The plugin.
pub struct SchemaFrame {
    /// Confluent's wire format: 0, and the id, highest byte first.
    frame: [u8; 5],
    side: Side,
    format: Format,
}

enum Format {
    /// The payload stays as it is.
    Json(JsonSchema),
    Avro {
        schema: avro::Schema,
        encoder: avro::Encoder,
        encoded: Vec<u8>,
    },
}

impl Serializer for SchemaFrame {
    fn configure(side: Side, settings: &Settings) -> Result<SchemaFrame, String> {
        settings.required("format")?;
        let is_avro = settings.choice("format", &[("json-schema", false), ("avro", true)])?.unwrap_or_default();
        let schema = settings.required("schema")?;
        settings.required("schema-id")?;
        // The registry's ids are Java's ints.
        let id = settings.parse::<i32>("schema-id")?.filter(|id| *id >= 0);
        let id = id.ok_or("schema-id: must not be below 0")?;
        let wrong = |error: String| format!("schema: {error}");
        let format = match is_avro {
            false => Format::Json(JsonSchema::compile(schema).map_err(wrong)?),
            true => {
                let unions = settings.choice("unions", &[("plain", false), ("tagged", true)])?;
                let unknown = settings.choice("unknown-fields", &[("refuse", false), ("drop", true)])?;
                let (tagged, drop) = (unions.unwrap_or(false), unknown.unwrap_or(false));
                let schema = avro::Schema::compile(schema).map_err(wrong)?;
                Format::Avro { schema, encoder: avro::Encoder::new(tagged, drop), encoded: Vec::new() }
            }
        };
        let [a, b, c, d] = id.to_be_bytes();
        Ok(SchemaFrame { frame: [0, a, b, c, d], side, format })
    }

    fn serialize(&mut self, payload: &Payload<'_>, output: &mut Output<'_>) -> Result<(), String> {
        // Null stays null: a tombstone has no schema.
        let Some(bytes) = payload.bytes() else { return Ok(()) };
        let (checked, framed) = match &mut self.format {
            Format::Json(schema) => (schema.validate(bytes), bytes),
            Format::Avro { schema, encoder, encoded } => {
                encoded.clear();
                (encoder.encode(schema, bytes, encoded), encoded.as_slice())
            }
        };
        checked.map_err(|fault| {
            let side = if self.side == Side::Key { "key" } else { "value" };
            format!("the {side} does not fit the schema: {fault}")
        })?;
        output.write(&self.frame);
        output.write(framed);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
