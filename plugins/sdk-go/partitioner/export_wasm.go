package partitioner

import "pointsman/internal/abi"

// The contract's interface, as the canonical ABI has it. Answers lie here until the next call.

var configured struct {
	isError     uint32
	reads       abi.WireReads
	consistency uint32

	kept  abi.Reads
	names []abi.List
}

//go:wasmexport pointsman:plugin/partitioner@0.1.0#configure
func configure(settings, count uint32) uint32 {
	defer abi.Leave()
	abi.Enter()
	reads, consistency, err := plugin.start(abi.LiftSettings(abi.List{At: settings, Len: count}))
	if err != nil {
		return abi.Fail(err)
	}
	configured.kept = reads
	configured.reads, configured.names = abi.LowerReads(&configured.kept)
	configured.consistency = uint32(consistency)
	return abi.AddressOf(&configured)
}

var told struct {
	isError uint32
	groups  abi.List

	lists []abi.List
	kept  [][]uint32
}

type wireBroker struct {
	id      int32
	hasRack abi.Some
	rack    abi.List
}

//go:wasmexport pointsman:plugin/partitioner@0.1.0#on-topology
func onTopology(topic, topicLen, partitions, leaders, leadersLen, brokers, brokersLen uint32) uint32 {
	defer abi.Leave()
	abi.Enter()
	topology := Topology{
		Topic:      abi.LiftString(abi.List{At: topic, Len: topicLen}),
		Partitions: partitions,
		Leaders:    append([]int32(nil), abi.Lift[int32](abi.List{At: leaders, Len: leadersLen})...),
	}
	for _, broker := range abi.Lift[wireBroker](abi.List{At: brokers, Len: brokersLen}) {
		rack, _ := abi.LiftOptionalString(broker.hasRack, broker.rack)
		topology.Brokers = append(topology.Brokers, Broker{ID: broker.id, Rack: rack})
	}
	groups, err := plugin.topology(topology)
	if err != nil {
		return abi.Fail(err)
	}
	told.kept, told.lists = groups, told.lists[:0]
	for _, group := range groups {
		told.lists = append(told.lists, abi.Lower(group))
	}
	told.groups = abi.Lower(told.lists)
	return abi.AddressOf(&told)
}

var placed struct {
	isError uint32
	targets abi.List
	refused abi.List

	refusals []abi.WireRefusal
}

var batch abi.Batch

func init() { abi.OnForget(func() { batch = abi.Batch{} }) }

//go:wasmexport pointsman:plugin/partitioner@0.1.0#partition
func partition(records uint32) uint32 {
	defer abi.Leave()
	abi.Enter()
	abi.LiftBatch(&batch, abi.At[abi.WireBatch](records))
	if err := plugin.partition(&batch); err != nil {
		return abi.Fail(err)
	}
	placed.refusals = abi.LowerRefusals(placed.refusals, plugin.refused)
	placed.targets, placed.refused = abi.Lower(plugin.targets), abi.Lower(placed.refusals)
	return abi.AddressOf(&placed)
}

//go:wasmexport pointsman:plugin/partitioner@0.1.0#close
func closePlugin() {
	defer abi.Leave()
	abi.Enter()
	plugin.close()
}
