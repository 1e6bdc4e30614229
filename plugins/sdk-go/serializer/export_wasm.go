package serializer

import "pointsman/internal/abi"

// The contract's interface, as the canonical ABI has it. Answers lie here until the next call.

var configured struct {
	isError    uint32
	hasHeaders abi.Some
	headers    abi.List

	kept  abi.Reads
	names []abi.List
}

//go:wasmexport pointsman:plugin/serializer@0.1.0#configure
func configure(side, settings, count uint32) uint32 {
	defer abi.Leave()
	abi.Enter()
	reads, err := plugin.start(Side(side), abi.LiftSettings(abi.List{At: settings, Len: count}))
	if err != nil {
		return abi.Fail(err)
	}
	configured.kept = reads
	configured.hasHeaders = 0
	if reads.HasHeaders {
		configured.names = abi.LowerStrings(reads.Headers)
		configured.hasHeaders, configured.headers = 1, abi.Lower(configured.names)
	}
	return abi.AddressOf(&configured)
}

type wireArguments struct {
	topics     abi.WireTopics
	payloads   abi.WireColumn
	hasHeaders abi.Some
	headers    abi.WireHeaders
}

var serialized struct {
	isError    uint32
	payloads   abi.WireColumn
	hasHeaders abi.Some
	headers    abi.WireHeaders
	refused    abi.List

	refusals []abi.WireRefusal
}

var (
	topics   abi.Topics
	payloads abi.Column
	headers  abi.Headers
)

func init() {
	abi.OnForget(func() { topics, payloads, headers = abi.Topics{}, abi.Column{}, abi.Headers{} })
}

//go:wasmexport pointsman:plugin/serializer@0.1.0#serialize
func serialize(arguments uint32) uint32 {
	defer abi.Leave()
	abi.Enter()
	wire := abi.At[wireArguments](arguments)
	abi.LiftTopics(&topics, &wire.topics)
	payloads = abi.LiftColumn(&wire.payloads)
	headers = abi.LiftOptionalHeaders(wire.hasHeaders, &wire.headers)
	plugin.serialize(&topics, &payloads, &headers)
	serialized.payloads = abi.LowerColumn(&plugin.output.column)
	serialized.hasHeaders, serialized.headers = abi.LowerHeaders(plugin.output.headers.Headers())
	serialized.refusals = abi.LowerRefusals(serialized.refusals, plugin.refused)
	serialized.refused = abi.Lower(serialized.refusals)
	return abi.AddressOf(&serialized)
}

//go:wasmexport pointsman:plugin/serializer@0.1.0#close
func closePlugin() {
	defer abi.Leave()
	abi.Enter()
	plugin.close()
}
