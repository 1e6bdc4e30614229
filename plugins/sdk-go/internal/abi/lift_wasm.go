package abi

import "unsafe"

// List is a list or string as it crosses: where it is, and of how many elements.
type List struct{ At, Len uint32 }

// Some says whether an option is there; it takes the place of the bool and of what aligns the value behind it.
type Some uint32

// The lowest byte alone counts; the others are whatever was there.
func (s Some) is() bool { return uint8(s) != 0 }

// WireColumn is a column as it crosses.
type WireColumn struct{ Lengths, Data List }

// WireTopics are topics as they cross.
type WireTopics struct{ Names, Indexes List }

// WireHeaders are headers as they cross.
type WireHeaders struct {
	Counts        List
	Names, Values WireColumn
}

// WireBatch is a batch as it crosses.
type WireBatch struct {
	count         uint32
	hasTopics     Some
	topics        WireTopics
	hasPartitions Some
	partitions    List
	hasTimestamps Some
	timestamps    List
	hasKeys       Some
	keys          WireColumn
	hasValues     Some
	values        WireColumn
	hasHeaders    Some
	headers       WireHeaders
}

// WireReads are reads as they cross.
type WireReads struct {
	fields     uint32
	hasHeaders Some
	headers    List
}

type wirePair struct{ name, value List }

// The sizes that the canonical ABI gives; a negative one would not compile.
const (
	_ = uint(unsafe.Sizeof(WireBatch{}) - 132)
	_ = uint(132 - unsafe.Sizeof(WireBatch{}))
	_ = uint(unsafe.Sizeof(WireReads{}) - 16)
	_ = uint(16 - unsafe.Sizeof(WireReads{}))
)

// At is what lies at an address that the host gave.
func At[T any](address uint32) *T {
	return (*T)(pointer(address))
}

// Lift gives a list's elements where they lie: until the hook returns.
func Lift[T any](list List) []T {
	if list.Len == 0 {
		return nil
	}
	return unsafe.Slice((*T)(pointer(list.At)), list.Len)
}

// LiftString copies a string, which may be kept.
func LiftString(text List) string {
	return string(Lift[byte](text))
}

// LiftColumn gives a column where it lies.
func LiftColumn(wire *WireColumn) Column {
	return Column{Lengths: Lift[int32](wire.Lengths), Data: Lift[byte](wire.Data)}
}

// LiftTopics fills the topics of a call. The names may be kept.
func LiftTopics(topics *Topics, wire *WireTopics) {
	topics.Names = topics.Names[:0]
	for _, name := range Lift[List](wire.Names) {
		topics.Names = append(topics.Names, interned(Lift[byte](name)))
	}
	topics.Indexes = Lift[uint32](wire.Indexes)
}

// LiftHeaders gives headers where they lie.
func LiftHeaders(wire *WireHeaders) Headers {
	return Headers{
		Counts: Lift[uint32](wire.Counts),
		Names:  LiftColumn(&wire.Names),
		Values: LiftColumn(&wire.Values),
	}
}

// LiftBatch fills a batch.
func LiftBatch(batch *Batch, wire *WireBatch) {
	*batch = Batch{Count: int(wire.count), Topics: Topics{Names: batch.Topics.Names}}
	if wire.hasTopics.is() {
		batch.Fields |= FieldTopic
		LiftTopics(&batch.Topics, &wire.topics)
	}
	if wire.hasPartitions.is() {
		batch.Fields |= FieldPartition
		batch.Partitions = Lift[int32](wire.partitions)
	}
	if wire.hasTimestamps.is() {
		batch.Fields |= FieldTimestamp
		batch.Timestamps = Lift[int64](wire.timestamps)
	}
	if wire.hasKeys.is() {
		batch.Fields |= FieldKey
		batch.Keys = LiftColumn(&wire.keys)
	}
	if wire.hasValues.is() {
		batch.Fields |= FieldValue
		batch.Values = LiftColumn(&wire.values)
	}
	if wire.hasHeaders.is() {
		batch.Fields |= FieldHeaders
		batch.Headers = LiftHeaders(&wire.headers)
	}
}

// LiftOptionalHeaders gives headers where they lie, or none.
func LiftOptionalHeaders(has Some, wire *WireHeaders) Headers {
	if !has.is() {
		return Headers{}
	}
	return LiftHeaders(wire)
}

// LiftOptionalString copies a string, or gives an empty one.
func LiftOptionalString(has Some, text List) (string, bool) {
	if !has.is() {
		return "", false
	}
	return LiftString(text), true
}

// LiftSettings copies the plugin's table.
func LiftSettings(list List) []Setting {
	var settings []Setting
	for _, pair := range Lift[wirePair](list) {
		settings = append(settings, Setting{LiftString(pair.name), LiftString(pair.value)})
	}
	return settings
}

// The names of topics are few and come with every batch.
var names = map[string]string{}

const namesMax = 10_000

func interned(name []byte) string {
	if known, ok := names[string(name)]; ok {
		return known
	}
	if len(names) == namesMax {
		clear(names)
	}
	kept := string(name)
	names[kept] = kept
	return kept
}
