// franz-go. The flags, the records and the line it prints are those of ../meter.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const cycle = 1 << 16

// One delivery in this many is timed.
const sampled = 128

func main() {
	bootstrap := flag.String("bootstrap", "127.0.0.1:19092", "")
	topic := flag.String("topic", "bench", "")
	records := flag.Int64("records", 1_000_000, "")
	warmup := flag.Int64("warmup", 100_000, "")
	compression := flag.String("compression", "none", "")
	batchSize := flag.Int64("batch-size", 0, "")
	linger := flag.Int64("linger", 5, "")
	rate := flag.Int64("rate", 0, "")
	ca := flag.String("ca", "", "")
	flag.Parse()

	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	codec, known := codecs[*compression]
	if !known {
		fail("unknown compression " + *compression)
	}
	// Idempotent with acks=all, and Java's murmur2 for keys, by default.
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(*bootstrap, ",")...),
		kgo.DefaultProduceTopic(*topic),
		kgo.ProducerBatchCompression(codec),
		kgo.ProducerLinger(time.Duration(*linger) * time.Millisecond),
		// The default of 10,000 is full before the first answer.
		kgo.MaxBufferedRecords(500_000),
	}
	if *batchSize > 0 {
		options = append(options, kgo.ProducerBatchMaxBytes(int32(*batchSize)))
	}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			fail(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		options = append(options, kgo.DialTLSConfig(&tls.Config{RootCAs: roots}))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		fail(err)
	}
	keys, values := generate()

	var ok, failed atomic.Int64
	var lock sync.Mutex
	var latencies []time.Duration
	count := func(_ *kgo.Record, err error) {
		if err == nil {
			ok.Add(1)
		} else {
			failed.Add(1)
		}
	}
	ctx := context.Background()
	send := func(i int64) {
		record := &kgo.Record{Key: keys[i&(cycle-1)], Value: values[i&(cycle-1)]}
		delivered := count
		if i%sampled == 0 {
			sent := time.Now()
			delivered = func(record *kgo.Record, err error) {
				count(record, err)
				lock.Lock()
				latencies = append(latencies, time.Since(sent))
				lock.Unlock()
			}
		}
		client.Produce(ctx, record, delivered)
	}
	flush := func() {
		if err := client.Flush(ctx); err != nil {
			fail(err)
		}
	}

	for i := int64(0); i < *warmup; i++ {
		send(i)
	}
	flush()
	ok.Store(0)
	failed.Store(0)
	latencies = nil
	begin, start := cpu(), time.Now()
	for i := int64(0); i < *records; i++ {
		if *rate > 0 {
			if wait := time.Duration(i*1_000_000_000 / *rate) - time.Since(start); wait > 0 {
				time.Sleep(wait)
			}
		}
		send(i)
	}
	flush()
	seconds := time.Since(start).Seconds()
	used := cpu() - begin

	sort.Slice(latencies, func(a, b int) bool { return latencies[a] < latencies[b] })
	percentile := func(p float64) string {
		if len(latencies) == 0 {
			return "null"
		}
		return fmt.Sprintf("%.3f", latencies[int(float64(len(latencies)-1)*p)].Seconds()*1e3)
	}
	fmt.Printf(`{"client":"franz-go","version":"%s","records":%d,"ok":%d,"failed":%d,"seconds":%.3f,`+
		`"cpu_ns_per_record":%.1f,"max_rss_kb":%d,"p50_ms":%s,"p99_ms":%s}`+"\n",
		version(), *records, ok.Load(), failed.Load(), seconds,
		float64(used.Nanoseconds())/float64(*records), usage().Maxrss, percentile(0.5), percentile(0.99))
	client.Close()
}

func generate() (keys, values [][]byte) {
	regions := []string{"bj", "sh", "gz", "sz", "hz", "cd"}
	state := uint64(42)
	random := func() uint64 {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		return state
	}
	for range cycle {
		region := regions[random()%6]
		keys = append(keys, fmt.Appendf(nil, "%s-%013d", region, random()%1_000_000))
		var letters [88]byte
		for i := range letters {
			letters[i] = 'a' + byte(random()%26)
		}
		values = append(values, fmt.Appendf(nil, `{"order":"%s"}`, letters[:]))
	}
	return keys, values
}

func usage() syscall.Rusage {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	return usage
}

func cpu() time.Duration {
	usage := usage()
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func version() string {
	build, _ := debug.ReadBuildInfo()
	for _, module := range build.Deps {
		if module.Path == "github.com/twmb/franz-go" {
			return module.Version
		}
	}
	return "unknown"
}

func fail(what any) {
	fmt.Fprintln(os.Stderr, what)
	os.Exit(1)
}
