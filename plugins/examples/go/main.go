// A partitioner: one state's orders to partition 0, the others to whichever of the rest has the shortest queue.
package main

import (
	"encoding/json"
	"fmt"
	"pointsman"
	"pointsman/partitioner"
)

func init() { partitioner.Register(configure) }

// The producer calls the plugin; nothing runs by itself.
func main() {}

type byState struct{ state string }

// The error is shown to whoever wrote the config file. A setting that is not asked for here is an error by itself.
func configure(settings *pointsman.Settings) (partitioner.Partitioner, error) {
	state, err := settings.Required("state")
	return &byState{state}, err
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
	var order struct {
		State any `json:"state"`
	}
	if json.Unmarshal(value, &order) != nil {
		return partitioner.Refuse("the value is not JSON")
	}
	if order.State == p.state {
		return partitioner.To(0)
	}
	return partitioner.Group(0)
}
