// A partitioner: one state's orders to partition 0, the others to whichever of the rest has the shortest queue.
package main

import (
	"fmt"
	"pointsman"
	"pointsman/partitioner"
)

func init() { partitioner.Register(configure) }

// The producer calls the plugin; nothing runs by itself.
func main() {}

type byState struct {
	field pointsman.Path
	state []byte
}

// The error is shown to whoever wrote the config file. A setting that is not asked for here is an error by itself.
func configure(settings *pointsman.Settings) (partitioner.Partitioner, error) {
	field, err := pointsman.NewPath(settings.Or("field", "state"))
	if err != nil {
		return nil, err
	}
	state, err := settings.Required("state")
	if err != nil {
		return nil, err
	}
	return &byState{field, []byte(state)}, nil
}

// Keyed: the same record always goes to the same place. Only the values are copied to this plugin.
func (p *byState) Wants() partitioner.Wants {
	return partitioner.Wants{Reads: pointsman.Reads{Fields: pointsman.Value}, Consistency: partitioner.Keyed}
}

// One group, of all partitions but the first.
func (p *byState) Topology(topology *partitioner.Topology) ([][]uint32, error) {
	if topology.Partitions < 2 {
		return nil, fmt.Errorf("topic %s has %d partition: two are needed", topology.Topic, topology.Partitions)
	}
	var others []uint32
	for partition := uint32(1); partition < topology.Partitions; partition++ {
		others = append(others, partition)
	}
	return [][]uint32{others}, nil
}

func (p *byState) Partition(record *pointsman.Record, _ *partitioner.Topology) partitioner.Placement {
	value := record.Value()
	if value == nil {
		return partitioner.Group(0)
	}
	state, err := p.field.Find(value)
	if err != nil {
		return partitioner.Refuse("the value is " + err.Error())
	}
	if state.Is(p.state) {
		return partitioner.To(0)
	}
	return partitioner.Group(0)
}
