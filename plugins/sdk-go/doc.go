// Package pointsman writes plugins for the pointsman Kafka producer in Go.
//
// A plugin is a package main that imports the package of each role that it plays (pointsman/partitioner,
// pointsman/interceptor, pointsman/serializer) and registers itself there in init. `pointsman plugin build` makes a
// component of it.
package pointsman

// Closer is a plugin that wants to hear the last call of its instance, which comes unless the instance failed.
type Closer interface{ Close() }
