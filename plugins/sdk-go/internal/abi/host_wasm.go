package abi

import (
	"runtime"
	"unsafe"
)

// Enter begins a hook. The clock of Go's time package is set, which has none of its own: between the hooks nothing
// tells the time.
func Enter() {
	setClock(Now())
}

// Leave ends a hook; to be deferred. A panic is told to the producer's log and becomes a trap: the producer then goes
// on with a new instance, and finds out which record it was.
func Leave() {
	if cause := recover(); cause != nil {
		Log(LevelError, described(cause))
		trap()
	}
	AtEnd()
	resetArena()
}

// Log writes a line.
func Log(level uint32, message string) {
	message = Text(message)
	hostLog(level, unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)))
}

// Metric has the host make a series. Its labels are pairs of name and value.
func Metric(kind uint32, name string, labels [][2]string) uint32 {
	name = Text(name)
	kept := make([][2]string, 0, len(labels))
	pairs := make([]wirePair, 0, len(labels))
	for _, label := range labels {
		label = [2]string{Text(label[0]), Text(label[1])}
		kept = append(kept, label)
		pairs = append(pairs, wirePair{LowerString(label[0]), LowerString(label[1])})
	}
	number := hostMetric(kind, unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)),
		unsafe.Pointer(unsafe.SliceData(pairs)), uint32(len(pairs)))
	runtime.KeepAlive(kept)
	return number
}

// Point is one measurement, laid out as it crosses.
type Point struct {
	Metric uint32
	Value  float64
}

// Observe hands measurements to the host.
func Observe(points []Point) {
	hostObserve(unsafe.Pointer(unsafe.SliceData(points)), uint32(len(points)))
}

// PluginName asks for the name in the config file.
func PluginName() string {
	hostPluginName(unsafe.Pointer(&text))
	return LiftString(text)
}

// ClientID asks for the producer's client.id.
func ClientID() string {
	hostClientID(unsafe.Pointer(&text))
	return LiftString(text)
}

// Where the host puts a string that it answers with.
var text List

// Now is in nanoseconds since the Unix epoch.
//
//go:wasmimport pointsman:plugin/host@0.1.0 now
func Now() uint64

// Random is a number from the system's source.
//
//go:wasmimport pointsman:plugin/host@0.1.0 random
func Random() uint64

// Lane is the number of the lane that this instance works for.
//
//go:wasmimport pointsman:plugin/host@0.1.0 lane
func Lane() uint32

//go:wasmimport pointsman:plugin/host@0.1.0 log
func hostLog(level uint32, message unsafe.Pointer, length uint32)

//go:wasmimport pointsman:plugin/host@0.1.0 metric
func hostMetric(kind uint32, name unsafe.Pointer, length uint32, labels unsafe.Pointer, count uint32) uint32

//go:wasmimport pointsman:plugin/host@0.1.0 observe
func hostObserve(points unsafe.Pointer, count uint32)

//go:wasmimport pointsman:plugin/host@0.1.0 plugin-name
func hostPluginName(answer unsafe.Pointer)

//go:wasmimport pointsman:plugin/host@0.1.0 client-id
func hostClientID(answer unsafe.Pointer)

// Where what is printed waits for the end of its line, to go into the log.
var words [1024]byte

func init() { keepWords(unsafe.Pointer(&words)) }

// Of the adapter that `pointsman plugin build` puts below Go's runtime.

//go:wasmimport wasi_snapshot_preview1 pointsman_set_clock
func setClock(nanoseconds uint64)

//go:wasmimport wasi_snapshot_preview1 pointsman_keep_words
func keepWords(room unsafe.Pointer)

//go:wasmimport wasi_snapshot_preview1 pointsman_trap
func trap()
