package pointsman

import "pointsman/internal/abi"

// Level says how much a line in the log matters.
type Level uint32

// The levels of the producer's log.
const (
	Trace = Level(abi.LevelTrace)
	Debug = Level(abi.LevelDebug)
	Info  = Level(abi.LevelInfo)
	Warn  = Level(abi.LevelWarn)
	Error = Level(abi.LevelError)
)

// Log writes to the producer's log. The producer bounds what one plugin may write.
func Log(level Level, message string) { abi.Log(uint32(level), message) }

// Now is nanoseconds since the Unix epoch, asked of the host. time.Now costs less: within a hook it is the time at which
// the hook was called, give or take microseconds.
func Now() uint64 { return abi.Now() }

// Random is a random number, asked of the host.
func Random() uint64 { return abi.Random() }

// PluginName is the name in the config file that this instance goes by.
func PluginName() string { return abi.PluginName() }

// ClientID is the producer's client.id.
func ClientID() string { return abi.ClientID() }

// Lane is the number of the lane that this instance works for.
func Lane() uint32 { return abi.Lane() }

// Label of a series.
type Label struct{ Name, Value string }

// Counter is a number that only grows. Make it when the plugin is configured; what is added in a hook goes to the host
// in one call, when the hook is done.
type Counter struct{ total *total }

// Gauge is a number that goes up and down.
type Gauge struct{ total *total }

// Histogram takes values of which the distribution matters.
type Histogram struct{ metric uint32 }

// NewCounter is the counter of this name and these labels.
func NewCounter(name string, labels ...Label) Counter {
	return Counter{&total{metric: metric(0, name, labels)}}
}

// NewGauge is the gauge of this name and these labels.
func NewGauge(name string, labels ...Label) Gauge {
	return Gauge{&total{metric: metric(1, name, labels)}}
}

// NewHistogram is the histogram of this name and these labels.
func NewHistogram(name string, labels ...Label) Histogram { return Histogram{metric(2, name, labels)} }

// Add to it.
func (c Counter) Add(amount float64) {
	c.total.change()
	c.total.value += amount
}

// Set it.
func (g Gauge) Set(value float64) {
	g.total.change()
	g.total.value = value
}

// Record puts a value in.
func (h Histogram) Record(value float64) {
	points = append(points, abi.Point{Metric: h.metric, Value: value})
}

func metric(kind uint32, name string, labels []Label) uint32 {
	pairs := make([][2]string, 0, len(labels))
	for _, label := range labels {
		pairs = append(pairs, [2]string{label.Name, label.Value})
	}
	return abi.Metric(kind, name, pairs)
}

type total struct {
	metric  uint32
	value   float64
	changed bool
}

func (t *total) change() {
	if !t.changed {
		t.changed = true
		changed = append(changed, t)
	}
}

// What was measured since the hook began.
var (
	changed []*total
	points  []abi.Point
)

func init() {
	abi.AtEnd = func() {
		for _, total := range changed {
			points = append(points, abi.Point{Metric: total.metric, Value: total.value})
			total.value, total.changed = 0, false
		}
		changed = changed[:0]
		if len(points) > 0 {
			abi.Observe(points)
			points = points[:0]
		}
	}
}
