package pointsman

import "testing"

// From Kafka's own UtilsTest.
func TestHashesAsKafkaDoes(t *testing.T) {
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
		"":    275646681,
	} {
		if got := int32(Murmur2([]byte(key))); got != hash {
			t.Errorf("%q: %d", key, got)
		}
	}
}

func TestANegativeHashLosesItsSign(t *testing.T) {
	if got := PartitionOfKey([]byte("21"), 6); got != uint32((-973932308&0x7fffffff)%6) {
		t.Error(got)
	}
}
