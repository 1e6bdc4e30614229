package abi

import "unsafe"

// The memory that the host writes arguments into. A call's arguments are dead when its hook returns, so that each
// batch goes where the one before it was, and Go's allocator is hardly ever called. That is for more than speed: an
// allocator may not reach the host, while Go's, when it starts to collect, runs much of the runtime.
var arena struct {
	chunk []byte
	used  uint32
	// Chunks that were too small for the call that runs: what they hold is still read.
	full [][]byte
}

// Called where large arguments are forgotten, for what still points at them.
var forget []func()

// OnForget has something forgotten when the arguments of a call are, if they were large.
func OnForget(what func()) { forget = append(forget, what) }

const (
	chunkMin  = 16 << 10
	chunkKept = 1 << 20
)

//go:wasmexport cabi_realloc
func realloc(old, oldSize, align, size uint32) uint32 {
	if size == 0 {
		return align
	}
	allocated := allocate(align, size)
	if oldSize != 0 {
		copy(unsafe.Slice((*byte)(pointer(allocated)), size), unsafe.Slice((*byte)(pointer(old)), oldSize))
	}
	return allocated
}

func allocate(align, size uint32) uint32 {
	start := (arena.used + align - 1) &^ (align - 1)
	if uint64(start)+uint64(size) > uint64(len(arena.chunk)) {
		if len(arena.chunk) > 0 {
			arena.full = append(arena.full, arena.chunk)
		}
		// Go aligns whatever is this large by more than any type of the contract needs.
		arena.chunk = make([]byte, max(size, min(2*uint32(len(arena.chunk)), chunkKept), chunkMin))
		start = 0
	}
	arena.used = start + size
	return address(unsafe.Pointer(&arena.chunk[start]))
}

// Forgets the arguments of the call that ends.
func resetArena() {
	arena.used = 0
	if len(arena.full) > 0 || len(arena.chunk) > chunkKept {
		for _, what := range forget {
			what()
		}
	}
	if len(arena.full) > 0 {
		clear(arena.full)
		arena.full = arena.full[:0]
	}
	if len(arena.chunk) > chunkKept {
		arena.chunk = nil
	}
}

// Where something lies. Stacks move when they grow, so what it points to must be elsewhere: that it is stored here
// has the compiler see to it.
func address(p unsafe.Pointer) uint32 {
	escaped = p
	return uint32(uintptr(p))
}

var escaped unsafe.Pointer

func pointer(address uint32) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(nil), address)
}
