//! Columns: read by cursors that cut borrowed slices, written by appending.

use crate::bindings::types::{Column, HeaderColumns};

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

    /// Splits the next `count` entries off as a cursor of their own.
    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> ColumnCursor<'a> {
        let (lengths, more) = self.lengths.split_at(count);
        let bytes = lengths.iter().map(|&length| length.max(0) as usize).sum();
        let (data, rest) = self.rest.split_at(bytes);
        *self = ColumnCursor { lengths: more, rest };
        ColumnCursor { lengths, rest: data }
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
    columns: Option<HeaderColumns>,
}

impl HeaderBuilder {
    /// Appends a header to the record at `index` of `count`. Indexes never go back.
    #[inline]
    pub(crate) fn add(&mut self, index: usize, count: usize, name: &str, value: Option<&[u8]>) {
        let columns = self.columns.get_or_insert_with(|| {
            // Most plugins that add a header add the same one, of the same size, to every record.
            let left = count - index;
            HeaderColumns {
                counts: vec![0; count],
                names: new_column(left, name.len()),
                values: new_column(left, value.map_or(0, <[u8]>::len)),
            }
        });
        columns.counts[index] += 1;
        push(&mut columns.names, Some(name.as_bytes()));
        push(&mut columns.values, value);
    }

    pub(crate) fn finish(self) -> Option<HeaderColumns> {
        self.columns
    }
}
