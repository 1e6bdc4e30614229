// Package interceptor is the role of an interceptor: it sees records before they are serialized, and what became of them.
//
// Whoever imports it exports the role, and calls Register in init.
package interceptor

import (
	"errors"
	"fmt"
	"math"
	"pointsman"
	"pointsman/internal/abi"
)

// Interceptor sees records. If it is also a pointsman.Closer, it hears the last call of its instance.
type Interceptor interface {
	// Wants is which hooks are called, what OnSend reads and what it may change.
	Wants() Wants
	// OnSend gets a record on its way. It is called for each record of a batch, in order, and perhaps again for a record
	// that was in a batch with one that made the plugin panic.
	OnSend(record *pointsman.Record, edit *Edit)
	// OnAcknowledgement gets what became of a record. Nothing that happens here changes it.
	OnAcknowledgement(acknowledgement *Acknowledgement)
}

// Register says how the plugin is made from its settings: the first call of an instance. The error is for whoever wrote
// the config file. A setting that is not asked for here is an error by itself.
func Register(configure func(*pointsman.Settings) (Interceptor, error)) { plugin.configure = configure }

// Wants is what an interceptor asks for. The zero value asks for no call at all.
type Wants struct {
	// OnSend is what it reads of each record; nil: it is not called.
	OnSend *pointsman.Reads
	// Changes is what OnSend may set. Headers, tags, dropping and refusing need no permission.
	Changes pointsman.Fields
	// Acknowledgements asks for OnAcknowledgement.
	Acknowledgements bool
}

// Edit is what OnSend does to one record. Where a field is set twice, the last counts.
type Edit struct {
	edits *edits
	index uint32
}

// AddHeader appends a header; a nil value is null.
func (e *Edit) AddHeader(name string, value []byte) {
	e.edits.added.Add(int(e.index), e.edits.count, name, value)
}

// RemoveHeader takes every header of this name off that the record came with: not those added here.
func (e *Edit) RemoveHeader(name string) {
	for at := range e.edits.removed {
		if removal := &e.edits.removed[at]; removal.name == name {
			if removal.indexes[len(removal.indexes)-1] != e.index {
				removal.indexes = append(removal.indexes, e.index)
			}
			return
		}
	}
	abi.MustBeText("header name", name)
	e.edits.removed = append(e.edits.removed, removal{name, []uint32{e.index}})
}

// ReplaceHeader takes every header of this name off that the record came with, and appends this one.
func (e *Edit) ReplaceHeader(name string, value []byte) {
	e.RemoveHeader(name)
	e.AddHeader(name, value)
}

// SetTopic sets the topic.
func (e *Edit) SetTopic(topic string) {
	e.check(pointsman.Topic, "topic")
	abi.MustBeText("topic", topic)
	edits := e.edits
	at := len(edits.topicNames)
	for known := range edits.topicNames {
		if edits.topicNames[known] == topic {
			at = known
		}
	}
	if at == len(edits.topicNames) {
		edits.topicNames = append(edits.topicNames, topic)
	}
	set(&edits.topics, e.index, uint32(at))
}

// SetPartition sets the partition.
func (e *Edit) SetPartition(partition uint32) {
	if partition > math.MaxInt32 {
		panic("partitions are below 2^31")
	}
	e.check(pointsman.Partition, "partition")
	set(&e.edits.partitions, e.index, int32(partition))
}

// UnsetPartition leaves the choice to the partitioner.
func (e *Edit) UnsetPartition() {
	e.check(pointsman.Partition, "partition")
	set(&e.edits.partitions, e.index, -1)
}

// SetTimestamp sets the timestamp, in milliseconds since the Unix epoch.
func (e *Edit) SetTimestamp(timestamp int64) {
	if timestamp < 0 {
		panic("no record has a timestamp before 1970")
	}
	e.check(pointsman.Timestamp, "timestamp")
	set(&e.edits.timestamps, e.index, timestamp)
}

// SetKey sets the key; nil is null.
func (e *Edit) SetKey(key []byte) {
	e.check(pointsman.Key, "key")
	e.edits.keys.set(e.index, key)
}

// SetValue sets the value; nil is null, a tombstone.
func (e *Edit) SetValue(value []byte) {
	e.check(pointsman.Value, "value")
	e.edits.values.set(e.index, value)
}

// SetTag leaves a number with the record, which its acknowledgement brings back, perhaps to another instance of this
// plugin: so let it mean something by itself, a time or a hash. 0 is the same as none.
func (e *Edit) SetTag(tag uint64) {
	if len(e.edits.tags) == 0 {
		e.edits.tags = abi.Zeroed(e.edits.tags, e.edits.count)
	}
	e.edits.tags[e.index] = tag
}

// Drop leaves the record out, on purpose: its delivery completes as dropped.
func (e *Edit) Drop() {
	if dropped := e.edits.dropped; len(dropped) == 0 || dropped[len(dropped)-1] != e.index {
		e.edits.dropped = append(dropped, e.index)
	}
}

// Refuse does not let the record through, and says why. The plugin's on-error in the config decides what follows.
func (e *Edit) Refuse(reason string) {
	if refused := e.edits.refused; len(refused) == 0 || refused[len(refused)-1].Index != e.index {
		e.edits.refused = append(refused, abi.Refusal{Index: e.index, Reason: reason})
	}
}

func (e *Edit) check(field pointsman.Fields, name string) {
	if e.edits.changes&field == 0 {
		panic(fmt.Sprintf("the plugin sets the %s, which its Wants does not name among the changes", name))
	}
}

// Acknowledgement is what became of one record.
type Acknowledgement struct {
	// Topic that it was for.
	Topic string
	// Partition; -1 where it failed before it had one.
	Partition int32
	// Offset is its place in the log; -1 where that is not known.
	Offset int64
	// Timestamp that it has in the log, milliseconds since the Unix epoch; -1 where that is not known.
	Timestamp int64
	// Error is 0 where it was written; above, and -1, Kafka's code; from -100 down the producer's own: see the contract.
	Error int16
	// Fate says whether it is in the log.
	Fate Fate
	// Tag that OnSend left with it; 0 where that was nothing.
	Tag uint64
}

// Fate of a record. Other numbers may come, and mean that it is not known here.
type Fate uint8

const (
	// Written: it is in the log.
	Written Fate = iota
	// NotWritten: it is certainly not in the log.
	NotWritten
	// Unknown: it may be in the log.
	Unknown
)

// edits of a batch while they are made. Their memory is used again for the next.
type edits struct {
	count      int
	changes    pointsman.Fields
	topicNames []string
	topics     column[uint32]
	partitions column[int32]
	timestamps column[int64]
	keys       bytesEdit
	values     bytesEdit
	removed    []removal
	added      abi.HeaderBuilder
	tags       []uint64
	dropped    []uint32
	refused    []abi.Refusal
}

// column is new content for one field, and the records that it is for, ascending.
type column[T any] struct {
	indexes []uint32
	content []T
}

type bytesEdit struct {
	indexes []uint32
	content abi.Column
}

type removal struct {
	name    string
	indexes []uint32
}

func set[T any](column *column[T], index uint32, value T) {
	if last := len(column.indexes) - 1; last >= 0 && column.indexes[last] == index {
		column.content[last] = value
		return
	}
	column.indexes = append(column.indexes, index)
	column.content = append(column.content, value)
}

func (c *column[T]) reset() { c.indexes, c.content = c.indexes[:0], c.content[:0] }

func (b *bytesEdit) set(index uint32, value []byte) {
	if last := len(b.indexes) - 1; last >= 0 && b.indexes[last] == index {
		b.content.Pop()
	} else {
		b.indexes = append(b.indexes, index)
	}
	b.content.Push(value)
}

func (b *bytesEdit) reset() {
	b.indexes = b.indexes[:0]
	b.content.Reset()
}

func (e *edits) reset(count int) {
	e.count = count
	clear(e.topicNames)
	e.topicNames = e.topicNames[:0]
	e.topics.reset()
	e.partitions.reset()
	e.timestamps.reset()
	e.keys.reset()
	e.values.reset()
	e.removed = nil
	e.added.Reset()
	e.tags = e.tags[:0]
	e.dropped = e.dropped[:0]
	clear(e.refused)
	e.refused = e.refused[:0]
}

// Ascending indexes that name every record are left out: that is what an empty list says.
func allAsEmpty(indexes []uint32, count int) []uint32 {
	if len(indexes) == count {
		return nil
	}
	return indexes
}

// acknowledgements of a call, as columns.
type acknowledgements struct {
	count      int
	topics     abi.Topics
	partitions []int32
	offsets    []int64
	timestamps []int64
	errors     []int16
	fates      []uint8
	tags       []uint64
}

// runner runs an interceptor over batches.
type runner struct {
	configure func(*pointsman.Settings) (Interceptor, error)
	plugin    Interceptor
	given     uint8
	edits     edits
}

var plugin runner

func (r *runner) start(settings []abi.Setting) (wants Wants, reads abi.Reads, err error) {
	if r.configure == nil {
		return wants, reads, errors.New("the plugin registered no interceptor")
	}
	err = pointsman.Configure(settings, func(settings *pointsman.Settings) (err error) {
		r.plugin, err = r.configure(settings)
		return err
	})
	if err != nil {
		return wants, reads, err
	}
	if r.plugin == nil {
		return wants, reads, errors.New("the plugin's configure returned neither an interceptor nor an error")
	}
	wants = r.plugin.Wants()
	if wants.OnSend != nil {
		r.given = pointsman.WireReads(*wants.OnSend, &reads)
	}
	r.edits.changes = wants.Changes
	return wants, reads, nil
}

// onSend leaves its answer in edits.
func (r *runner) onSend(batch *abi.Batch) error {
	record, err := pointsman.FirstRecord(batch, r.given)
	if err != nil {
		return err
	}
	r.edits.reset(batch.Count)
	edit := Edit{edits: &r.edits}
	for index := range batch.Count {
		edit.index = uint32(index)
		r.plugin.OnSend(&record, &edit)
		pointsman.Advance(&record, batch)
	}
	return nil
}

func (r *runner) onAcknowledgement(batch *acknowledgements) {
	for index := range batch.count {
		r.plugin.OnAcknowledgement(&Acknowledgement{
			Topic:     batch.topics.Names[batch.topics.Of(index)],
			Partition: batch.partitions[index],
			Offset:    batch.offsets[index],
			Timestamp: batch.timestamps[index],
			Error:     batch.errors[index],
			Fate:      Fate(batch.fates[index]),
			Tag:       batch.tags[index],
		})
	}
}

func (r *runner) close() {
	if closer, ok := r.plugin.(pointsman.Closer); ok {
		closer.Close()
	}
}
