package interceptor

import (
	"pointsman/internal/abi"
	"unsafe"
)

// The contract's interface, as the canonical ABI has it. Answers lie here until the next call.

var configured struct {
	isError          uint32
	hasOnSend        abi.Some
	onSend           abi.WireReads
	changes          uint8
	acknowledgements bool

	kept  abi.Reads
	names []abi.List
}

//go:wasmexport pointsman:plugin/interceptor@0.1.0#configure
func configure(settings, count uint32) uint32 {
	defer abi.Leave()
	abi.Enter()
	wants, reads, err := plugin.start(abi.LiftSettings(abi.List{At: settings, Len: count}))
	if err != nil {
		return abi.Fail(err)
	}
	configured.kept = reads
	configured.hasOnSend = 0
	if wants.OnSend != nil {
		configured.hasOnSend = 1
		configured.onSend, configured.names = abi.LowerReads(&configured.kept)
	}
	configured.changes, configured.acknowledgements = uint8(wants.Changes), wants.Acknowledgements
	return abi.AddressOf(&configured)
}

type wireEdit struct{ indexes, content abi.List }

type wireRemoval struct{ name, indexes abi.List }

// answer is the edits as they cross.
type answer struct {
	isError       uint32
	hasTopics     abi.Some
	topicIndexes  abi.List
	topics        abi.WireTopics
	hasPartitions abi.Some
	partitions    wireEdit
	hasTimestamps abi.Some
	timestamps    wireEdit
	hasKeys       abi.Some
	keyIndexes    abi.List
	keys          abi.WireColumn
	hasValues     abi.Some
	valueIndexes  abi.List
	values        abi.WireColumn
	removed       abi.List
	hasAdded      abi.Some
	added         abi.WireHeaders
	tags          abi.List
	dropped       abi.List
	refused       abi.List
}

// The size that the canonical ABI gives; a negative one would not compile.
const (
	_ = uint(unsafe.Sizeof(answer{}) - 204)
	_ = uint(204 - unsafe.Sizeof(answer{}))
)

var edited struct {
	answer

	names    []abi.List
	removals []wireRemoval
	refusals []abi.WireRefusal
}

var batch abi.Batch

func init() {
	abi.OnForget(func() { batch, acknowledged = abi.Batch{}, acknowledgements{} })
}

//go:wasmexport pointsman:plugin/interceptor@0.1.0#on-send
func onSend(records uint32) uint32 {
	defer abi.Leave()
	abi.Enter()
	abi.LiftBatch(&batch, abi.At[abi.WireBatch](records))
	if err := plugin.onSend(&batch); err != nil {
		return abi.Fail(err)
	}
	lower(&plugin.edits, &edited.answer)
	return abi.AddressOf(&edited)
}

func lower(edits *edits, wire *answer) {
	*wire = answer{}
	if indexes := edits.topics.indexes; len(indexes) > 0 {
		edited.names = abi.LowerStrings(edits.topicNames)
		wire.hasTopics, wire.topicIndexes = 1, abi.Lower(allAsEmpty(indexes, edits.count))
		wire.topics = abi.WireTopics{Names: abi.Lower(edited.names), Indexes: abi.Lower(edits.topics.content)}
	}
	wire.hasPartitions, wire.partitions = lowerColumn(&edits.partitions, edits.count)
	wire.hasTimestamps, wire.timestamps = lowerColumn(&edits.timestamps, edits.count)
	if indexes := edits.keys.indexes; len(indexes) > 0 {
		wire.hasKeys, wire.keyIndexes = 1, abi.Lower(allAsEmpty(indexes, edits.count))
		wire.keys = abi.LowerColumn(&edits.keys.content)
	}
	if indexes := edits.values.indexes; len(indexes) > 0 {
		wire.hasValues, wire.valueIndexes = 1, abi.Lower(allAsEmpty(indexes, edits.count))
		wire.values = abi.LowerColumn(&edits.values.content)
	}
	edited.removals = edited.removals[:0]
	for _, removal := range edits.removed {
		indexes := abi.Lower(allAsEmpty(removal.indexes, edits.count))
		edited.removals = append(edited.removals, wireRemoval{abi.LowerString(removal.name), indexes})
	}
	wire.removed = abi.Lower(edited.removals)
	wire.hasAdded, wire.added = abi.LowerHeaders(edits.added.Headers())
	wire.tags, wire.dropped = abi.Lower(edits.tags), abi.Lower(edits.dropped)
	edited.refusals = abi.LowerRefusals(edited.refusals, edits.refused)
	wire.refused = abi.Lower(edited.refusals)
}

func lowerColumn[T any](column *column[T], count int) (abi.Some, wireEdit) {
	if len(column.indexes) == 0 {
		return 0, wireEdit{}
	}
	return 1, wireEdit{abi.Lower(allAsEmpty(column.indexes, count)), abi.Lower(column.content)}
}

type wireAcknowledgements struct {
	count      uint32
	topics     abi.WireTopics
	partitions abi.List
	offsets    abi.List
	timestamps abi.List
	errors     abi.List
	fates      abi.List
	tags       abi.List
}

var acknowledged acknowledgements

//go:wasmexport pointsman:plugin/interceptor@0.1.0#on-acknowledgement
func onAcknowledgement(arguments uint32) {
	defer abi.Leave()
	abi.Enter()
	wire := abi.At[wireAcknowledgements](arguments)
	acknowledged.count = int(wire.count)
	abi.LiftTopics(&acknowledged.topics, &wire.topics)
	acknowledged.partitions = abi.Lift[int32](wire.partitions)
	acknowledged.offsets = abi.Lift[int64](wire.offsets)
	acknowledged.timestamps = abi.Lift[int64](wire.timestamps)
	acknowledged.errors = abi.Lift[int16](wire.errors)
	acknowledged.fates = abi.Lift[uint8](wire.fates)
	acknowledged.tags = abi.Lift[uint64](wire.tags)
	plugin.onAcknowledgement(&acknowledged)
}

//go:wasmexport pointsman:plugin/interceptor@0.1.0#close
func closePlugin() {
	defer abi.Leave()
	abi.Enter()
	plugin.close()
}
