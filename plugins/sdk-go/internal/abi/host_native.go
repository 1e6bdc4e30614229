//go:build !wasm

package abi

import (
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// Outside of a producer, as in `go test`: the log goes to stderr, numbers go nowhere.

// Log writes a line.
func Log(level uint32, message string) {
	fmt.Fprintf(os.Stderr, "%s %s\n", [...]string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR"}[level], message)
}

// Metric numbers a series.
func Metric(uint32, string, [][2]string) uint32 { return 1 }

// Point is one measurement.
type Point struct {
	Metric uint32
	Value  float64
}

// Observe forgets measurements.
func Observe([]Point) {}

// PluginName is the name in the config file.
func PluginName() string { return "test" }

// ClientID is the producer's client.id.
func ClientID() string { return "test" }

// Now is in nanoseconds since the Unix epoch.
func Now() uint64 { return uint64(time.Now().UnixNano()) }

// Random is a number from the system's source.
func Random() uint64 { return rand.Uint64() }

// Lane is the number of the lane that this instance works for.
func Lane() uint32 { return 0 }
