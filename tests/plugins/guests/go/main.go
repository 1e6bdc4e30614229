// All three roles in Go, which behave as the `mode` setting says: what crosses, and what goes wrong.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"pointsman"
	"pointsman/interceptor"
	"pointsman/partitioner"
	"pointsman/serializer"
	"runtime"
	"strings"
	"time"
)

func init() {
	interceptor.Register(func(settings *pointsman.Settings) (interceptor.Interceptor, error) {
		return &sees{mode: settings.Or("mode", "")}, nil
	})
	serializer.Register(func(side serializer.Side, settings *pointsman.Settings) (serializer.Serializer, error) {
		return &frames{side, settings.Or("mode", "")}, nil
	})
	partitioner.Register(func(settings *pointsman.Settings) (partitioner.Partitioner, error) {
		return &places{
			mode:        settings.Or("mode", ""),
			allocated:   pointsman.NewGauge("allocated"),
			collections: pointsman.NewGauge("collections", pointsman.Label{Name: "of", Value: "garbage"}),
		}, nil
	})
}

func main() {}

type sees struct {
	mode string
	kept []byte
}

func (s *sees) Wants() interceptor.Wants {
	all := pointsman.Topic | pointsman.Partition | pointsman.Timestamp | pointsman.Key | pointsman.Value
	return interceptor.Wants{
		OnSend:           &pointsman.Reads{Fields: all, AllHeaders: true},
		Changes:          all,
		Acknowledgements: true,
	}
}

// OnSend gives everything back, as if it had changed it; or changes the second record only.
func (s *sees) OnSend(record *pointsman.Record, edit *interceptor.Edit) {
	if s.mode == "second" && string(record.Key()) != "key-1" {
		return
	}
	if s.mode == "garbage" {
		s.kept = bytes.Repeat(record.Key(), 1024/len(record.Key()))
	}
	edit.SetValue([]byte("not the last that counts"))
	edit.SetTopic(record.Topic())
	if partition, chosen := record.Partition(); chosen {
		edit.SetPartition(partition)
	} else {
		edit.UnsetPartition()
	}
	timestamp, _ := record.Timestamp()
	edit.SetTimestamp(timestamp)
	edit.SetKey(record.Key())
	edit.SetValue(record.Value())
	for name, value := range record.Headers() {
		edit.AddHeader(name, value)
	}
	if value, found := record.Header("a"); found {
		edit.AddHeader("last-a", value)
	}
	edit.RemoveHeader("old")
	edit.SetTag(uint64(len(record.Key())))
	switch string(record.Key()) {
	case "key-0":
		edit.Drop()
	case "key-1":
		edit.Refuse("it is the second")
	}
}

func (s *sees) OnAcknowledgement(acknowledgement *interceptor.Acknowledgement) {
	pointsman.Log(pointsman.Info, fmt.Sprintf("%+v", *acknowledgement))
}

func (s *sees) Close() { pointsman.Log(pointsman.Info, "closed "+pointsman.PluginName()) }

type frames struct {
	side serializer.Side
	mode string
}

func (f *frames) Wants() serializer.Wants { return serializer.Wants{Headers: []string{"a"}} }

func (f *frames) Serialize(payload *serializer.Payload, output *serializer.Output) error {
	if f.mode == "nothing" || payload.Bytes() == nil {
		return nil
	}
	if string(payload.Bytes()) == "bad" {
		return fmt.Errorf("not for %s", payload.Topic())
	}
	fmt.Fprintf(output, "%d", f.side)
	output.Write(payload.Bytes())
	output.Written()[0] += '0'
	if string(payload.Bytes()) == "null" {
		output.WriteNull()
	}
	if value, found := payload.Header("a"); found {
		output.AddHeader("seen", value)
	}
	return nil
}

type places struct {
	mode                   string
	allocated, collections pointsman.Gauge
	kept                   []byte
}

func (p *places) Wants() partitioner.Wants {
	wants := partitioner.Wants{Reads: pointsman.Reads{Fields: pointsman.Key}, Consistency: partitioner.Keyed}
	if p.mode == "topology" {
		wants.Consistency = partitioner.Located
	}
	return wants
}

func (p *places) Topology(topology *partitioner.Topology) ([][]uint32, error) {
	if p.mode == "topology" {
		return nil, fmt.Errorf("%+v", *topology)
	}
	return [][]uint32{{0}, {1, 2}}, nil
}

func (p *places) Partition(record *pointsman.Record, topology *partitioner.Topology) partitioner.Placement {
	bad := bytes.HasSuffix(record.Key(), []byte("-2"))
	switch {
	case p.mode == "garbage":
		// A page of each record, of which one is kept.
		p.kept = bytes.Repeat(record.Key(), 4096/len(record.Key()))
		return partitioner.To(uint32(p.kept[len(p.kept)-1]) % topology.Partitions)
	case p.mode == "count":
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		p.allocated.Set(float64(memory.TotalAlloc))
		p.collections.Set(float64(memory.NumGC))
	case p.mode == "clock":
		return partitioner.To(uint32(time.Since(time.Unix(0, int64(pointsman.Now()))).Abs() / time.Second))
	case p.mode == "print":
		fmt.Println("to stdout")
		print("to stderr, ")
		println("piece by piece")
	case p.mode == "no-text":
		pointsman.Log(pointsman.Info, "log \xff")
		// Cut short, overlong, half of a pair, beyond the last character; and what is text.
		for _, line := range []string{"é\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "é€😀\ud7ff\U0010ffff"} {
			fmt.Println(line)
		}
		// Its room ends within a letter.
		fmt.Println("a" + strings.Repeat("é", 1023))
		return partitioner.Refuse("bad \xff")
	case p.mode == "no-group":
		return partitioner.Group(-1)
	case p.mode == "sleep":
		time.Sleep(time.Hour)
	case !bad:
	case p.mode == "panic":
		panic(errors.New("no such region"))
	case p.mode == "nil":
		var nobody *places
		nobody.kept = nil
	case p.mode == "index":
		p.kept[len(record.Key())]++
	case p.mode == "undeclared":
		record.Value()
	case p.mode == "goroutine":
		go func() { panic("in another goroutine") }()
		runtime.Gosched()
	case p.mode == "wait":
		select {}
	case p.mode == "refuse":
		return partitioner.Refuse("not this one")
	case p.mode == "group":
		return partitioner.Group(2)
	}
	if bad {
		return partitioner.Group(1)
	}
	if record.Topic() == "trips" {
		return partitioner.Default
	}
	return partitioner.To(pointsman.PartitionOfKey(record.Key(), topology.Partitions))
}
