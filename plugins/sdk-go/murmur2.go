package pointsman

import "encoding/binary"

// Murmur2 is Kafka's hash of a key.
func Murmur2(key []byte) uint32 {
	const seed, m, r = 0x9747b28c, 0x5bd1e995, 24
	// Java's lengths are ints: only the low 32 bits take part.
	hash := uint32(seed) ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := binary.LittleEndian.Uint32(key) * m
		k ^= k >> r
		hash = hash*m ^ k*m
	}
	if len(key) > 0 {
		for at, letter := range key {
			hash ^= uint32(letter) << (8 * at)
		}
		hash *= m
	}
	hash ^= hash >> 13
	hash *= m
	return hash ^ hash>>15
}

// PartitionOfKey says which of count places a key belongs to, as Kafka's default partitioner does for count partitions.
func PartitionOfKey(key []byte, count uint32) uint32 {
	// Kafka clears the sign; it does not take the absolute value.
	return (Murmur2(key) & 0x7fffffff) % count
}
