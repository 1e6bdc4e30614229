// Package abi is the contract's shape in Go: what crosses, as slices, and on wasm how it crosses.
//
// The contract is small and does not change, so its canonical ABI is written by hand here, and no generator is needed.
package abi

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Text that may cross: Go's strings need not be UTF-8, and the contract's are.
func Text(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// MustBeText panics for a name that may not cross. To put another in its place would be worse.
func MustBeText(what, name string) {
	if !utf8.ValidString(name) {
		panic(fmt.Sprintf("the %s %q is not UTF-8", what, name))
	}
}

// Column holds byte strings end to end. A length of -1 is null and takes no bytes.
type Column struct {
	Lengths []int32
	Data    []byte
}

// Topics says which topic each record belongs to. Without indexes it is the first, for all.
type Topics struct {
	Names   []string
	Indexes []uint32
}

// Headers of every record of a batch, in record order.
type Headers struct {
	Counts []uint32
	Names  Column
	Values Column
}

// Batch is some records on their way. Fields says which columns are there.
type Batch struct {
	Count      int
	Fields     uint8
	Topics     Topics
	Partitions []int32
	Timestamps []int64
	Keys       Column
	Values     Column
	Headers    Headers
}

// The bits of a set of fields. The contract's flags have the first five.
const (
	FieldTopic uint8 = 1 << iota
	FieldPartition
	FieldTimestamp
	FieldKey
	FieldValue
	FieldHeaders
)

// Refusal of a record, and why.
type Refusal struct {
	Index  uint32
	Reason string
}

// Reads is what a hook asks for. Headers counts with HasHeaders only; empty, it is all of them.
type Reads struct {
	Fields     uint8
	HasHeaders bool
	Headers    []string
}

// Setting is an entry of the plugin's table.
type Setting struct{ Name, Value string }

// Of says which of the names the record at index belongs to.
func (t *Topics) Of(index int) int {
	if len(t.Indexes) == 0 {
		return 0
	}
	return int(t.Indexes[index])
}

// Push appends an entry; nil is null.
func (c *Column) Push(entry []byte) {
	if entry == nil {
		c.Lengths = append(c.Lengths, -1)
		return
	}
	c.Lengths = append(c.Lengths, int32(len(entry)))
	c.Data = append(c.Data, entry...)
}

// PushString appends an entry that is never null.
func (c *Column) PushString(entry string) {
	c.Lengths = append(c.Lengths, int32(len(entry)))
	c.Data = append(c.Data, entry...)
}

// Pop takes the last entry off.
func (c *Column) Pop() {
	last := len(c.Lengths) - 1
	c.Data = c.Data[:len(c.Data)-max(int(c.Lengths[last]), 0)]
	c.Lengths = c.Lengths[:last]
}

// Close ends an entry whose bytes were appended from start on.
func (c *Column) Close(start int, null bool) {
	if null {
		c.Data = c.Data[:start]
		c.Lengths = append(c.Lengths, -1)
		return
	}
	c.Lengths = append(c.Lengths, int32(len(c.Data)-start))
}

// Reset empties it, and keeps its memory for the next batch.
func (c *Column) Reset() {
	c.Lengths, c.Data = c.Lengths[:0], c.Data[:0]
}

// HeaderBuilder collects headers that a hook adds, record by record in order.
type HeaderBuilder struct {
	headers Headers
}

// Add appends a header to the record at index of count. Indexes never go back.
func (b *HeaderBuilder) Add(index, count int, name string, value []byte) {
	MustBeText("header name", name)
	if len(b.headers.Counts) == 0 {
		b.headers.Counts = Zeroed(b.headers.Counts, count)
	}
	b.headers.Names.PushString(name)
	b.headers.Values.Push(value)
	b.headers.Counts[index]++
}

// Headers that were added; nil if there are none.
func (b *HeaderBuilder) Headers() *Headers {
	if len(b.headers.Counts) == 0 {
		return nil
	}
	return &b.headers
}

// Reset empties it, and keeps its memory for the next batch.
func (b *HeaderBuilder) Reset() {
	b.headers.Counts = b.headers.Counts[:0]
	b.headers.Names.Reset()
	b.headers.Values.Reset()
}

// Zeroed is a slice of count zeros, in the memory of an old one where that has room.
func Zeroed[T any](old []T, count int) []T {
	if cap(old) < count {
		return make([]T, count)
	}
	zeroed := old[:count]
	clear(zeroed)
	return zeroed
}
