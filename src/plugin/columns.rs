//! Records as columns: one array of lengths and one run of bytes per field, as they cross to a plugin.
//!
//! A column lays its entries end to end, so that handing a batch to a component is a few large copies instead of
//! several allocations a record. The owned types gather records; the borrowed ones (`…Ref`) are what a hook is
//! given and can be cut into ranges without a copy, which halving after a trap needs.

use std::ops::Range;

/// The length that stands for null.
pub const NULL: i32 = -1;

/// Byte strings laid end to end. Entry `i` is `lengths[i]` bytes long; [`NULL`] takes no bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// One per entry, in bytes; −1 is null.
    pub lengths: Vec<i32>,
    /// All entries' bytes, in order.
    pub data: Vec<u8>,
}

/// A borrowed [`Column`], or a range of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnRef<'a> {
    /// One per entry, in bytes; −1 is null.
    pub lengths: &'a [i32],
    /// All entries' bytes, in order.
    pub data: &'a [u8],
}

/// The headers of every record of a batch, in record order: `counts[i]` of them belong to record `i`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderColumns {
    /// Headers of each record.
    pub counts: Vec<u32>,
    /// UTF-8, never null.
    pub names: Column,
    /// As many as names; may be null.
    pub values: Column,
}

/// Borrowed [`HeaderColumns`], or a range of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderColumnsRef<'a> {
    /// Headers of each record.
    pub counts: &'a [u32],
    /// UTF-8, never null.
    pub names: ColumnRef<'a>,
    /// As many as names; may be null.
    pub values: ColumnRef<'a>,
}

/// Record `i` belongs to `names[indexes[i]]`; with no indexes every record belongs to `names[0]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicColumnRef<'a> {
    /// The topics of this call.
    pub names: &'a [&'a str],
    /// One per record, or empty.
    pub indexes: &'a [u32],
}

/// An owned topic column, as a hook returns it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicColumn {
    /// The topics of this call.
    pub names: Vec<String>,
    /// One per record, or empty.
    pub indexes: Vec<u32>,
}

impl Column {
    /// Appends one entry.
    pub fn push(&mut self, entry: Option<&[u8]>) {
        match entry {
            Some(bytes) => {
                // The wire's own limit is i32, and `send` has checked the record's size long before.
                self.lengths.push(i32::try_from(bytes.len()).expect("an entry is under 2 GiB"));
                self.data.extend_from_slice(bytes);
            }
            None => self.lengths.push(NULL),
        }
    }

    /// The whole column, borrowed.
    pub fn as_ref(&self) -> ColumnRef<'_> {
        ColumnRef { lengths: &self.lengths, data: &self.data }
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Takes all entries out and keeps the allocations.
    pub fn clear(&mut self) {
        self.lengths.clear();
        self.data.clear();
    }

    /// Whether it holds allocations.
    pub(super) fn has_room(&self) -> bool {
        self.lengths.capacity() > 0
    }
}

impl<'a> ColumnRef<'a> {
    /// How many entries.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Entries in order. The lengths must add up to the data; use [`ColumnRef::check`] on what a plugin returned.
    pub fn iter(&self) -> ColumnIter<'a> {
        ColumnIter { lengths: self.lengths.iter(), rest: self.data }
    }

    /// The entries of a range of records. O(start + length of the range).
    pub fn range(&self, range: Range<usize>) -> ColumnRef<'a> {
        let start = bytes_of(&self.lengths[..range.start]);
        let lengths = &self.lengths[range];
        ColumnRef { lengths, data: &self.data[start..start + bytes_of(lengths)] }
    }

    /// Whether this is a column of `count` entries whose lengths are ≥ −1 and add up to the data.
    ///
    /// # Errors
    /// Says which of the three is broken.
    pub fn check(&self, count: usize) -> Result<(), String> {
        if self.lengths.len() != count {
            return Err(format!("{} lengths for {count} entries", self.lengths.len()));
        }
        // Mostly there is none, and the least is found many at a time.
        if self.lengths.iter().copied().min().is_some_and(|least| least < NULL)
            && let Some(at) = self.lengths.iter().position(|&length| length < NULL)
        {
            return Err(format!("length {} at entry {at}", self.lengths[at]));
        }
        let sum: u64 = self.lengths.iter().map(|&length| length.max(0) as u64).sum();
        if sum != self.data.len() as u64 {
            return Err(format!("lengths add up to {sum} bytes, the data is {}", self.data.len()));
        }
        Ok(())
    }
}

/// Iterator over a column's entries.
#[derive(Clone, Debug)]
pub struct ColumnIter<'a> {
    lengths: std::slice::Iter<'a, i32>,
    rest: &'a [u8],
}

impl<'a> Iterator for ColumnIter<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let &length = self.lengths.next()?;
        if length < 0 {
            return Some(None);
        }
        let (entry, rest) = self.rest.split_at(length as usize);
        self.rest = rest;
        Some(Some(entry))
    }
}

impl HeaderColumns {
    /// All of them, borrowed.
    pub fn as_ref(&self) -> HeaderColumnsRef<'_> {
        HeaderColumnsRef { counts: &self.counts, names: self.names.as_ref(), values: self.values.as_ref() }
    }

    /// Takes everything out and keeps the allocations.
    pub fn clear(&mut self) {
        self.counts.clear();
        self.names.clear();
        self.values.clear();
    }
}

impl<'a> HeaderColumnsRef<'a> {
    /// The headers of a range of records. O(start + length of the range).
    pub fn range(&self, range: Range<usize>) -> HeaderColumnsRef<'a> {
        let first: usize = self.counts[..range.start].iter().map(|&count| count as usize).sum();
        let counts = &self.counts[range];
        let last = first + counts.iter().map(|&count| count as usize).sum::<usize>();
        HeaderColumnsRef { counts, names: self.names.range(first..last), values: self.values.range(first..last) }
    }

    /// Name and value of each header, record after record.
    pub fn each(self) -> HeaderIter<'a> {
        HeaderIter { names: self.names.iter(), values: self.values.iter() }
    }

    /// Whether these are the headers of `records` records: counts, lengths and UTF-8 names all agree.
    ///
    /// # Errors
    /// Says which part is broken.
    pub fn check(&self, records: usize) -> Result<(), String> {
        if self.counts.len() != records {
            return Err(format!("header counts for {} records, not {records}", self.counts.len()));
        }
        let total: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let total = usize::try_from(total).map_err(|_| "too many headers".to_owned())?;
        self.names.check(total).map_err(|fault| format!("header names: {fault}"))?;
        self.values.check(total).map_err(|fault| format!("header values: {fault}"))?;
        if let Some(at) = self.names.lengths.iter().position(|&length| length < 0) {
            return Err(format!("header name {at} is null"));
        }
        // However ASCII is cut, each piece is UTF-8.
        if !self.names.data.is_ascii() {
            let is_wrong = |name: Option<&[u8]>| name.is_some_and(|name| std::str::from_utf8(name).is_err());
            if let Some(at) = self.names.iter().position(is_wrong) {
                return Err(format!("header name {at} is not UTF-8"));
            }
        }
        Ok(())
    }
}

/// Iterator over the headers of a batch.
#[derive(Clone, Debug)]
pub struct HeaderIter<'a> {
    names: ColumnIter<'a>,
    values: ColumnIter<'a>,
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.names.next()?.unwrap_or_default(), self.values.next()?))
    }
}

impl<'a> TopicColumnRef<'a> {
    /// The topics of a range of records; the names stay as they are.
    pub fn range(&self, range: Range<usize>) -> TopicColumnRef<'a> {
        let indexes = if self.indexes.is_empty() { self.indexes } else { &self.indexes[range] };
        TopicColumnRef { names: self.names, indexes }
    }

    /// The topic of record `i`.
    pub fn of(&self, i: usize) -> &'a str {
        self.names[self.indexes.get(i).map_or(0, |&index| index as usize)]
    }
}

fn bytes_of(lengths: &[i32]) -> usize {
    lengths.iter().map(|&length| length.max(0) as usize).sum()
}
