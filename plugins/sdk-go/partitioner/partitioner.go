// Package partitioner is the role of a partitioner: it chooses the partition of every record that came without one.
//
// Whoever imports it exports the role, and calls Register in init.
package partitioner

import (
	"errors"
	"fmt"
	"math"
	"pointsman"
	"pointsman/internal/abi"
)

// Partitioner chooses partitions. If it is also a pointsman.Closer, it hears the last call of its instance.
type Partitioner interface {
	// Wants is what Partition reads, and what its answers depend on.
	Wants() Wants
	// Topology is called before the first record of a topic and whenever what it tells changes. It returns the topic's
	// groups, or none: lists of partitions that Group names by their place in the list. No group may be empty. An
	// error says that this plugin cannot place records of this topic.
	Topology(topology *Topology) ([][]uint32, error)
	// Partition says where one record goes. It is called for each record of a batch, in order.
	Partition(record *pointsman.Record, topology *Topology) Placement
}

// Register says how the plugin is made from its settings: the first call of an instance. The error is for whoever wrote
// the config file. A setting that is not asked for here is an error by itself.
func Register(configure func(*pointsman.Settings) (Partitioner, error)) { plugin.configure = configure }

// Placement is where a record goes.
type Placement struct {
	target int32
	reason string
}

// Default is where a record would go without a plugin: by the hash of its key, or wherever there is room if it has none.
var Default = Placement{target: -1}

// To is this partition.
func To(partition uint32) Placement {
	if partition > math.MaxInt32 {
		return Refuse(fmt.Sprintf("no topic has a partition %d", partition))
	}
	return Placement{target: int32(partition)}
}

// Group is any partition of this group of the topic: the producer picks by the length of its partitions' queues, as it
// does without a plugin, so that batches stay full.
func Group(group int) Placement {
	if group < 0 || group > math.MaxInt32-2 {
		return Refuse(fmt.Sprintf("no topic has a group %d", group))
	}
	return Placement{target: -2 - int32(group)}
}

// Refuse lets the record go nowhere. The plugin's on-error in the config decides what becomes of it.
func Refuse(reason string) Placement {
	if reason == "" {
		reason = "refused"
	}
	return Placement{reason: reason}
}

// Consistency is what a partitioner's answers depend on.
type Consistency uint8

const (
	// Keyed: on the record and the number of partitions alone. The plugin is never told leaders or racks.
	Keyed Consistency = iota
	// Located: on the leaders and racks too.
	Located
	// Free: on what the plugin remembers, too. One instance sees every record.
	Free
)

// Wants is what a partitioner asks for.
type Wants struct {
	Reads       pointsman.Reads
	Consistency Consistency
}

// Topology is what is known of a topic.
type Topology struct {
	Topic      string
	Partitions uint32
	// Leaders are the ids of the brokers that lead each partition; -1 while it has none. Empty for a keyed partitioner.
	Leaders []int32
	// Brokers are those that lead, each once. Empty for a keyed partitioner.
	Brokers []Broker
}

// Broker leads some partition.
type Broker struct {
	ID int32
	// Rack is where it stands, if it says so.
	Rack string
}

// runner runs a partitioner over batches.
type runner struct {
	configure func(*pointsman.Settings) (Partitioner, error)
	plugin    Partitioner
	given     uint8
	topics    map[string]*known
	// For the batch at hand: what is known of each of its topics.
	batch   []*known
	targets []int32
	refused []abi.Refusal
}

type known struct {
	topology Topology
	groups   int
}

var plugin runner

func (r *runner) start(settings []abi.Setting) (reads abi.Reads, consistency Consistency, err error) {
	if r.configure == nil {
		return reads, 0, errors.New("the plugin registered no partitioner")
	}
	err = pointsman.Configure(settings, func(settings *pointsman.Settings) (err error) {
		r.plugin, err = r.configure(settings)
		return err
	})
	if err != nil {
		return reads, 0, err
	}
	if r.plugin == nil {
		return reads, 0, errors.New("the plugin's configure returned neither a partitioner nor an error")
	}
	r.topics = map[string]*known{}
	wants := r.plugin.Wants()
	// The topics come in any case.
	r.given = pointsman.WireReads(wants.Reads, &reads) | abi.FieldTopic
	return reads, wants.Consistency, nil
}

func (r *runner) topology(topology Topology) ([][]uint32, error) {
	known := &known{topology: topology}
	groups, err := r.plugin.Topology(&known.topology)
	if err != nil {
		return nil, err
	}
	for at, group := range groups {
		if len(group) == 0 {
			return nil, fmt.Errorf("the plugin made group %d of topic %s empty", at, topology.Topic)
		}
	}
	known.groups = len(groups)
	r.topics[topology.Topic] = known
	return groups, nil
}

// partition leaves its answer in targets and refused.
func (r *runner) partition(batch *abi.Batch) error {
	r.batch = r.batch[:0]
	for _, name := range batch.Topics.Names {
		known, ok := r.topics[name]
		if !ok {
			return fmt.Errorf("the host gave records of topic %s before its topology", name)
		}
		r.batch = append(r.batch, known)
	}
	record, err := pointsman.FirstRecord(batch, r.given)
	if err != nil {
		return err
	}
	r.targets = abi.Zeroed(r.targets, batch.Count)
	clear(r.refused)
	r.refused = r.refused[:0]
	for index := range r.targets {
		known := r.batch[batch.Topics.Of(index)]
		placement := r.plugin.Partition(&record, &known.topology)
		if group := -2 - int(placement.target); group >= known.groups {
			placement = Refuse(fmt.Sprintf("the plugin named group %d, but it made %d for topic %s",
				group, known.groups, known.topology.Topic))
		}
		r.targets[index] = placement.target
		if placement.reason != "" {
			r.refused = append(r.refused, abi.Refusal{Index: uint32(index), Reason: placement.reason})
		}
		pointsman.Advance(&record, batch)
	}
	return nil
}

func (r *runner) close() {
	if closer, ok := r.plugin.(pointsman.Closer); ok {
		closer.Close()
	}
}
