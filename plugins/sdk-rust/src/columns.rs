//! Columns: read by cursors that cut borrowed slices, written by appending.

use crate::bindings::types::{Column, HeaderColumns};
use crate::record::same;

/// The length that stands for null.
const NULL: i32 = -1;

/// Walks a column's entries in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnCursor<'a> {
    lengths: &'a [i32],
    rest: &'a [u8],
}

impl<'a> ColumnCursor<'a> {
    pub(crate) const EMPTY: ColumnCursor<'static> = ColumnCursor { lengths: &[], rest: &[] };

    pub(crate) fn new(column: &'a Column) -> ColumnCursor<'a> {
        ColumnCursor { lengths: &column.lengths, rest: &column.data }
    }

    /// Entries of these lengths at the start of `data`.
    #[inline]
    pub(crate) fn cut(lengths: &'a [i32], data: &'a [u8]) -> ColumnCursor<'a> {
        ColumnCursor { lengths, rest: data }
    }

    /// The next entry; null after the last.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<&'a [u8]> {
        let (&length, lengths) = self.lengths.split_first()?;
        self.lengths = lengths;
        // Null is the only negative length.
        let length = usize::try_from(length).ok()?;
        let (entry, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(entry)
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.lengths.len()
    }
}

/// An empty column with room for so many entries of such a size.
pub(crate) fn new_column(entries: usize, entry_bytes: usize) -> Column {
    Column { lengths: Vec::with_capacity(entries), data: Vec::with_capacity(entries.saturating_mul(entry_bytes)) }
}

#[inline]
pub(crate) fn push(column: &mut Column, entry: Option<&[u8]>) {
    match entry {
        Some(bytes) => {
            column.lengths.push(length_of(bytes.len()));
            column.data.extend_from_slice(bytes);
        }
        None => column.lengths.push(NULL),
    }
}

/// Closes an entry whose bytes were appended to `data` from `start` on.
#[inline]
pub(crate) fn close_entry(column: &mut Column, start: usize, null: bool) {
    if null {
        column.data.truncate(start);
        column.lengths.push(NULL);
    } else {
        column.lengths.push(length_of(column.data.len() - start));
    }
}

/// Takes the last entry off.
pub(crate) fn pop(column: &mut Column) {
    if let Some(length) = column.lengths.pop() {
        column.data.truncate(column.data.len() - length.max(0) as usize);
    }
}

#[inline]
fn length_of(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("an entry has less than 2 GiB")
}

/// Headers that a hook adds, record by record in order.
#[derive(Default)]
pub(crate) struct HeaderBuilder {
    counts: Vec<u32>,
    names: Names,
    values: Option<Column>,
}

/// The names of added headers. Most plugins add the same one to every record: then its name is laid out once, at the
/// end, and not header by header.
#[derive(Default)]
enum Names {
    #[default]
    None,
    Same(String),
    Different(Column),
}

impl HeaderBuilder {
    /// Appends a header to the record at `index` of `count`. Indexes never go back.
    #[inline]
    pub(crate) fn add(&mut self, index: usize, count: usize, name: &str, value: Option<&[u8]>) {
        match &self.names {
            Names::Same(first) if same(first.as_bytes(), name.as_bytes()) => {}
            _ => self.add_name(count, name),
        }
        let values = match &mut self.values {
            Some(values) => values,
            None => self.values.insert(new_column(count - index, value.map_or(0, <[u8]>::len))),
        };
        push(values, value);
        self.counts[index] += 1;
    }

    #[inline(never)]
    fn add_name(&mut self, count: usize, name: &str) {
        if let Names::None = self.names {
            self.counts = vec![0; count];
            self.names = Names::Same(name.to_owned());
            return;
        }
        if let Names::Same(first) = &self.names {
            let so_far = self.values.as_ref().map_or(0, |values| values.lengths.len());
            self.names = Names::Different(repeated(first, so_far));
        }
        if let Names::Different(names) = &mut self.names {
            push(names, Some(name.as_bytes()));
        }
    }

    pub(crate) fn finish(self) -> Option<HeaderColumns> {
        let values = self.values?;
        let names = match self.names {
            Names::None => return None,
            Names::Same(name) => repeated(&name, values.lengths.len()),
            Names::Different(names) => names,
        };
        Some(HeaderColumns { counts: self.counts, names, values })
    }
}

fn repeated(name: &str, times: usize) -> Column {
    Column { lengths: vec![length_of(name.len()); times], data: name.as_bytes().repeat(times) }
}
