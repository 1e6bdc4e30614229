package pointsman

import (
	"errors"
	"fmt"
	"iter"
	"pointsman/internal/abi"
)

// Fields is a set of a record's fields. Headers are asked for apart, by name.
type Fields uint8

// The fields of a record.
const (
	Topic Fields = 1 << iota
	Partition
	Timestamp
	Key
	Value
)

// Reads is what a hook wants to be given of each record. Nothing else is copied to the plugin, so ask for no more than
// you read. The zero value asks for nothing.
type Reads struct {
	Fields Fields
	// Headers of these names.
	Headers []string
	// AllHeaders asks for every header, whatever Headers says.
	AllHeaders bool
}

// Record is one record of a batch, as far as it was asked for. Reading anything else panics: it is a mistake in the
// plugin, not a null.
//
// The bytes that it gives are the producer's: they are overwritten when the hook has returned. Copy what is to be kept
// (strings are safe to keep), and do not change them.
type Record struct {
	batch *abi.Batch
	given uint8
	index int
	// Where the record's entries begin.
	key, value, headerName, headerValue int
	// The record's first header.
	header int
}

// Topic of the record. A partitioner may always ask.
func (r *Record) Topic() string {
	r.check(abi.FieldTopic, "topic")
	return r.batch.Topics.Names[r.batch.Topics.Of(r.index)]
}

// Partition of the record; false while it is not chosen.
func (r *Record) Partition() (uint32, bool) {
	r.check(abi.FieldPartition, "partition")
	partition := r.batch.Partitions[r.index]
	return uint32(max(partition, 0)), partition >= 0
}

// Timestamp in milliseconds since the Unix epoch; false where the application set none.
func (r *Record) Timestamp() (int64, bool) {
	r.check(abi.FieldTimestamp, "timestamp")
	timestamp := r.batch.Timestamps[r.index]
	return timestamp, timestamp != -1
}

// Key of the record; nil is null.
func (r *Record) Key() []byte {
	r.check(abi.FieldKey, "key")
	return entry(&r.batch.Keys, r.index, r.key)
}

// Value of the record; nil is null, a tombstone.
func (r *Record) Value() []byte {
	r.check(abi.FieldValue, "value")
	return entry(&r.batch.Values, r.index, r.value)
}

// Header is the last of this name, as Kafka's lastHeader; false if there is none. A nil value is null.
func (r *Record) Header(name string) ([]byte, bool) {
	r.check(abi.FieldHeaders, "headers")
	return r.headers().last(name)
}

// Headers that were asked for, in their order.
func (r *Record) Headers() iter.Seq2[string, []byte] {
	r.check(abi.FieldHeaders, "headers")
	return r.headers().all
}

func (r *Record) headers() headerRow {
	return headerRow{&r.batch.Headers, r.index, r.header, r.headerName, r.headerValue}
}

func (r *Record) check(field uint8, name string) {
	if r.given&field == 0 {
		panic(fmt.Sprintf("the plugin reads the %s, which its Wants does not ask for", name))
	}
}

// entry is the bytes at a place of a column; nil is null.
func entry(column *abi.Column, index, at int) []byte {
	length := int(column.Lengths[index])
	switch {
	case length < 0:
		return nil
	case length == 0:
		return []byte{}
	}
	// Whoever appends to it must not write into the next.
	return column.Data[at : at+length : at+length]
}

// headerRow is the headers of one record.
type headerRow struct {
	headers *abi.Headers
	index   int
	// The first header, and where its name and its value begin.
	first, name, value int
}

func (h headerRow) count() int {
	if len(h.headers.Counts) == 0 {
		return 0
	}
	return int(h.headers.Counts[h.index])
}

func (h headerRow) last(name string) (value []byte, found bool) {
	for at := h.first; at < h.first+h.count(); at++ {
		if string(entry(&h.headers.Names, at, h.name)) == name {
			value, found = entry(&h.headers.Values, at, h.value), true
		}
		h.name += int(h.headers.Names.Lengths[at])
		h.value += max(int(h.headers.Values.Lengths[at]), 0)
	}
	return value, found
}

func (h headerRow) all(yield func(string, []byte) bool) {
	for at := h.first; at < h.first+h.count(); at++ {
		if !yield(string(entry(&h.headers.Names, at, h.name)), entry(&h.headers.Values, at, h.value)) {
			return
		}
		h.name += int(h.headers.Names.Lengths[at])
		h.value += max(int(h.headers.Values.Lengths[at]), 0)
	}
}

// What the packages of the roles need, and nobody else can call: their arguments are of an internal package.

// FirstRecord of a batch, of which a plugin asked for these fields.
func FirstRecord(batch *abi.Batch, given uint8) (Record, error) {
	if given&^batch.Fields != 0 {
		return Record{}, errors.New("the host did not give every column that was asked for")
	}
	return Record{batch: batch, given: given}, nil
}

// Advance goes on to the next record of a batch.
func Advance(record *Record, batch *abi.Batch) {
	index := record.index
	if record.given&abi.FieldKey != 0 {
		record.key += max(int(batch.Keys.Lengths[index]), 0)
	}
	if record.given&abi.FieldValue != 0 {
		record.value += max(int(batch.Values.Lengths[index]), 0)
	}
	if record.given&abi.FieldHeaders != 0 {
		record.header, record.headerName, record.headerValue =
			pass(&batch.Headers, index, record.header, record.headerName, record.headerValue)
	}
	record.index++
}

// pass goes past the headers of a record.
func pass(headers *abi.Headers, index, first, name, value int) (int, int, int) {
	if len(headers.Counts) == 0 {
		return first, name, value
	}
	end := first + int(headers.Counts[index])
	for ; first < end; first++ {
		name += int(headers.Names.Lengths[first])
		value += max(int(headers.Values.Lengths[first]), 0)
	}
	return first, name, value
}

// WireReads is what these reads are to the host; with what a record shows of them.
func WireReads(reads Reads, wire *abi.Reads) (given uint8) {
	given = uint8(reads.Fields)
	*wire = abi.Reads{Fields: given, HasHeaders: reads.AllHeaders || len(reads.Headers) > 0}
	if wire.HasHeaders {
		given |= abi.FieldHeaders
	}
	if !reads.AllHeaders {
		wire.Headers = reads.Headers
	}
	return given
}

// Payloads walks the keys or values of a serializer's batch with their headers.
type Payloads struct {
	column  *abi.Column
	headers *abi.Headers
	index   int
	// Where the entry at index begins, and its first header, with where that one's name and value begin.
	at, header, headerName, headerValue int
}

// NewPayloads begins at the first.
func NewPayloads(column *abi.Column, headers *abi.Headers) Payloads {
	return Payloads{column: column, headers: headers}
}

// Bytes of the payload at hand; nil is null.
func (p *Payloads) Bytes() []byte { return entry(p.column, p.index, p.at) }

// Header is the last of this name.
func (p *Payloads) Header(name string) ([]byte, bool) { return p.row().last(name) }

// Headers of the payload at hand.
func (p *Payloads) Headers() iter.Seq2[string, []byte] { return p.row().all }

// Index of the payload at hand.
func (p *Payloads) Index() int { return p.index }

// Advance goes on to the next.
func (p *Payloads) Advance() {
	p.at += max(int(p.column.Lengths[p.index]), 0)
	p.header, p.headerName, p.headerValue = pass(p.headers, p.index, p.header, p.headerName, p.headerValue)
	p.index++
}

func (p *Payloads) row() headerRow {
	return headerRow{p.headers, p.index, p.header, p.headerName, p.headerValue}
}
