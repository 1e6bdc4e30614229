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

const (
	cycle     = 1 << 16
	keySize   = 16
	valuesMax = 16 << 20
)

func main() {
	bootstrap := flag.String("bootstrap", "127.0.0.1:19092", "")
	topic := flag.String("topic", "bench", "")
	records := flag.Int64("records", 1_000_000, "")
	warmup := flag.Int64("warmup", 100_000, "")
	compression := flag.String("compression", "none", "")
	batchSize := flag.Int64("batch-size", 0, "")
	linger := flag.Int64("linger", 5, "")
	rate := flag.Int64("rate", 0, "")
	size := flag.Int("size", 116, "")
	hasKeys := flag.String("keys", "yes", "")
	threads := flag.Int64("threads", 1, "")
	sampled := flag.Int64("sampled", 128, "")
	best := flag.String("best", "no", "")
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
	// What franz-go's own benchmark does (examples/bench): much is buffered, batches are as large as brokers take them, and
	// records are used again. It lingers as the client does by default.
	pooled := *best == "yes"
	if pooled {
		options = append(options, kgo.MaxBufferedRecords(250<<20 / *size + 1),
			kgo.ProducerBatchMaxBytes(1_000_000), kgo.ProducerLinger(10*time.Millisecond))
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
	keys, values := generate(*size, *hasKeys == "yes", *records+*warmup)

	var ok, failed atomic.Int64
	var lock sync.Mutex
	var latencies []time.Duration
	var told atomic.Int64
	pool := sync.Pool{New: func() any { return new(kgo.Record) }}
	count := func(record *kgo.Record, err error) {
		if err == nil {
			ok.Add(1)
		} else {
			failed.Add(1)
		}
		if pooled {
			*record = kgo.Record{}
			pool.Put(record)
		}
	}
	ctx := context.Background()
	send := func(i int64) {
		record := new(kgo.Record)
		if pooled {
			record = pool.Get().(*kgo.Record)
		}
		record.Value = values[i&int64(len(values)-1)]
		if *hasKeys == "yes" {
			record.Key = keys[i&int64(len(keys)-1)]
		}
		delivered := count
		if i%*sampled == 0 {
			sent := time.Now()
			delivered = func(record *kgo.Record, err error) {
				count(record, err)
				lock.Lock()
				latencies = append(latencies, time.Since(sent))
				lock.Unlock()
				told.Store(time.Now().UnixNano())
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
	var senders sync.WaitGroup
	for share := range *threads {
		senders.Go(func() {
			for i := share * *records / *threads; i < (share+1)**records / *threads; i++ {
				if *rate > 0 {
					// The records of a millisecond are due together, with every client.
					due := time.Duration(i*1_000 / *rate) * time.Millisecond
					if wait := due - time.Since(start); wait > 0 {
						time.Sleep(wait)
					}
				}
				send(i)
			}
		})
	}
	senders.Wait()
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
		`"cpu_ns_per_record":%.1f,"max_rss_kb":%d,"p50_ms":%s,"p99_ms":%s,"p999_ms":%s,"told_ns":%d}`+"\n",
		version(), *records, ok.Load(), failed.Load(), seconds,
		float64(used.Nanoseconds())/float64(*records), usage().Maxrss, percentile(0.5), percentile(0.99),
		percentile(0.999), told.Load())
	client.Close()
}

func generate(size int, hasKeys bool, sent int64) (keys, values [][]byte) {
	regions := []string{"bj", "sh", "gz", "sz", "hz", "cd"}
	state := uint64(42)
	random := func() uint64 {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		return state
	}
	count := 1
	for count < cycle && int64(count) < sent {
		count *= 2
	}
	different := count
	for different > 1 && different*size > valuesMax {
		different /= 2
	}
	ofKey := 0
	if hasKeys {
		ofKey = min(keySize, size/2)
	}
	letters := func(count int) []byte {
		letters := make([]byte, count)
		for i := range letters {
			letters[i] = 'a' + byte(random()%26)
		}
		return letters
	}
	for i := range count {
		region := regions[random()%6]
		key := fmt.Appendf(nil, "%s-%013d", region, random()%1_000_000)
		keys = append(keys, key[keySize-ofKey:])
		if i < different {
			if of := size - ofKey; of < 20 {
				values = append(values, letters(of))
			} else {
				values = append(values, fmt.Appendf(nil, `{"order":"%s"}`, letters(of-12)))
			}
		}
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
