package abi

import "unsafe"

// What a hook answers stays where it is until the next call: the host has read it by then. Nothing is freed, so the
// component has no post-return functions.

// WireRefusal is a refusal as it crosses.
type WireRefusal struct {
	index  uint32
	reason List
}

// Failed is the answer of a call that could not be done. It takes no more room than any other answer.
type Failed struct {
	isError uint32
	words   List
	kept    string
}

var failed Failed

// Fail makes that answer.
func Fail(err error) uint32 {
	failed.isError, failed.kept = 1, Text(err.Error())
	failed.words = LowerString(failed.kept)
	return AddressOf(&failed)
}

// AddressOf an answer, which is a global.
func AddressOf[T any](answer *T) uint32 {
	return address(unsafe.Pointer(answer))
}

// Lower gives a slice where it lies. Whoever calls keeps it.
func Lower[T any](slice []T) List {
	return List{address(unsafe.Pointer(unsafe.SliceData(slice))), uint32(len(slice))}
}

// LowerString gives a string where it lies.
func LowerString(text string) List {
	return List{address(unsafe.Pointer(unsafe.StringData(text))), uint32(len(text))}
}

// LowerStrings gives strings where they lie.
func LowerStrings(texts []string) []List {
	lists := make([]List, 0, len(texts))
	for _, text := range texts {
		lists = append(lists, LowerString(text))
	}
	return lists
}

// LowerColumn gives a column where it lies.
func LowerColumn(column *Column) WireColumn {
	return WireColumn{Lengths: Lower(column.Lengths), Data: Lower(column.Data)}
}

// LowerHeaders gives headers where they lie, or none.
func LowerHeaders(headers *Headers) (Some, WireHeaders) {
	if headers == nil {
		return 0, WireHeaders{}
	}
	return 1, WireHeaders{
		Counts: Lower(headers.Counts),
		Names:  LowerColumn(&headers.Names),
		Values: LowerColumn(&headers.Values),
	}
}

// LowerRefusals appends refusals to a buffer that is kept.
func LowerRefusals(buffer []WireRefusal, refused []Refusal) []WireRefusal {
	buffer = buffer[:0]
	for at := range refused {
		refused[at].Reason = Text(refused[at].Reason)
		buffer = append(buffer, WireRefusal{refused[at].Index, LowerString(refused[at].Reason)})
	}
	return buffer
}

// LowerReads gives what a hook asks for. The names are kept by whoever calls.
func LowerReads(reads *Reads) (WireReads, []List) {
	wire := WireReads{fields: uint32(reads.Fields)}
	var names []List
	if reads.HasHeaders {
		names = LowerStrings(reads.Headers)
		wire.hasHeaders, wire.headers = 1, Lower(names)
	}
	return wire, names
}
