// Package serializer is the role of a serializer: it turns keys or values into the bytes that go to the broker.
//
// Whoever imports it exports the role, and calls Register in init.
package serializer

import (
	"errors"
	"iter"
	"pointsman"
	"pointsman/internal/abi"
)

// Serializer turns keys or values into bytes. If it is also a pointsman.Closer, it hears the last call of its instance.
type Serializer interface {
	// Wants is which headers Serialize reads.
	Wants() Wants
	// Serialize appends one key or value to output. Where nothing is appended, null stays null and anything else
	// becomes empty. An error refuses this record; the plugin's on-error in the config decides what follows.
	Serialize(payload *Payload, output *Output) error
}

// Register says how the plugin is made for one side from its settings: the first call of an instance. The error is for
// whoever wrote the config file. A setting that is not asked for here is an error by itself.
func Register(configure func(Side, *pointsman.Settings) (Serializer, error)) {
	plugin.configure = configure
}

// Side that an instance serves.
type Side uint8

const (
	// Key is for key.serializer.
	Key Side = iota
	// Value is for value.serializer.
	Value
)

// Wants is what a serializer asks for. The zero value: the payloads and their topics, and no headers.
type Wants struct {
	// Headers of these names.
	Headers []string
	// AllHeaders asks for every header, whatever Headers says.
	AllHeaders bool
}

// Payload is a key or value as the application gave it. Its bytes are the producer's: they are overwritten when the hook
// has returned.
type Payload struct {
	walk   pointsman.Payloads
	topics *abi.Topics
}

// Topic of the record.
func (p *Payload) Topic() string { return p.topics.Names[p.topics.Of(p.walk.Index())] }

// Bytes of the payload; nil is null.
func (p *Payload) Bytes() []byte { return p.walk.Bytes() }

// Header is the last of this name, as Kafka's lastHeader; false if there is none. A nil value is null.
func (p *Payload) Header(name string) ([]byte, bool) { return p.walk.Header(name) }

// Headers that Wants asked for, in their order.
func (p *Payload) Headers() iter.Seq2[string, []byte] { return p.walk.Headers() }

// Output is where a serializer puts its bytes: the end of the batch's column, so that nothing is allocated for a record.
// It is an io.Writer that never fails.
type Output struct {
	column  abi.Column
	headers abi.HeaderBuilder
	start   int
	index   int
	count   int
	state   state
}

type state uint8

const (
	untouched state = iota
	written
	null
)

// Write appends bytes.
func (o *Output) Write(bytes []byte) (int, error) {
	o.column.Data = append(o.column.Data, bytes...)
	o.state = written
	return len(bytes), nil
}

// Written is what was written so far, to be changed in place.
func (o *Output) Written() []byte { return o.column.Data[o.start:] }

// WriteNull makes it null, whatever was written.
func (o *Output) WriteNull() {
	o.column.Data = o.column.Data[:o.start]
	o.state = null
}

// AddHeader appends a header to the record; a nil value is null.
func (o *Output) AddHeader(name string, value []byte) { o.headers.Add(o.index, o.count, name, value) }

// runner runs a serializer over batches.
type runner struct {
	configure func(Side, *pointsman.Settings) (Serializer, error)
	plugin    Serializer
	output    Output
	refused   []abi.Refusal
}

var plugin runner

func (r *runner) start(side Side, settings []abi.Setting) (reads abi.Reads, err error) {
	if r.configure == nil {
		return reads, errors.New("the plugin registered no serializer")
	}
	err = pointsman.Configure(settings, func(settings *pointsman.Settings) (err error) {
		r.plugin, err = r.configure(side, settings)
		return err
	})
	if err != nil {
		return reads, err
	}
	if r.plugin == nil {
		return reads, errors.New("the plugin's configure returned neither a serializer nor an error")
	}
	wants := r.plugin.Wants()
	pointsman.WireReads(pointsman.Reads{Headers: wants.Headers, AllHeaders: wants.AllHeaders}, &reads)
	return reads, nil
}

// serialize leaves its answer in output and refused.
func (r *runner) serialize(topics *abi.Topics, payloads *abi.Column, headers *abi.Headers) {
	output := &r.output
	output.column.Reset()
	output.headers.Reset()
	clear(r.refused)
	r.refused = r.refused[:0]
	output.count = len(payloads.Lengths)
	payload := Payload{pointsman.NewPayloads(payloads, headers), topics}
	for index := range output.count {
		output.start, output.index, output.state = len(output.column.Data), index, untouched
		err := r.plugin.Serialize(&payload, output)
		isNull := output.state == null || output.state == untouched && payload.Bytes() == nil
		if err != nil {
			r.refused = append(r.refused, abi.Refusal{Index: uint32(index), Reason: err.Error()})
			isNull = true
		}
		output.column.Close(output.start, isNull)
		payload.walk.Advance()
	}
}

func (r *runner) close() {
	if closer, ok := r.plugin.(pointsman.Closer); ok {
		closer.Close()
	}
}
