package core

import (
	"encoding/json"
	"math"
	"sort"
	"strconv"
	"time"
)

// Histogram counts durations in buckets that grow by an eighth of an octave: a
// quantile read from it is off by at most 9 %. Counts only rise, so the
// difference of two readings is the histogram of the time between them. The
// key is a bucket's number: floor(8 × log2(µs + 1)).
type Histogram map[int]int64

// BucketsPerOctave is how many buckets a duration passes through while it
// doubles.
const BucketsPerOctave = 8

// BucketOf is the number of the bucket that d falls into.
func BucketOf(d time.Duration) int {
	return int(BucketsPerOctave * math.Log2(float64(max(0, d.Microseconds())+1)))
}

// bucketMiddle is the duration that stands for a bucket: the middle of its range
// on the logarithmic scale.
func bucketMiddle(bucket int) time.Duration {
	us := math.Exp2((float64(bucket)+0.5)/BucketsPerOctave) - 1
	return time.Duration(us * float64(time.Microsecond))
}

// Add counts one duration.
func (h Histogram) Add(d time.Duration) { h[BucketOf(d)]++ }

// Count is how many durations there are.
func (h Histogram) Count() (n int64) {
	for _, k := range h {
		n += k
	}
	return n
}

// Seconds is about how many seconds all durations make together: each counts as
// the middle of its bucket, which is off by at most 5 %.
func (h Histogram) Seconds() (sum float64) {
	for bucket, n := range h {
		sum += float64(n) * bucketMiddle(bucket).Seconds()
	}
	return sum
}

// Since returns what was counted since an earlier reading of the same histogram.
// An earlier reading that has more, as of a store that was emptied since, counts
// as none.
func (h Histogram) Since(earlier Histogram) Histogram {
	since := Histogram{}
	for bucket, n := range h {
		if d := n - earlier[bucket]; d > 0 {
			since[bucket] = d
		}
	}
	return since
}

// Quantile is the duration below which the share q (0–1) of all lies; 0 when
// there are none.
func (h Histogram) Quantile(q float64) time.Duration {
	buckets := make([]int, 0, len(h))
	for bucket := range h {
		buckets = append(buckets, bucket)
	}
	sort.Ints(buckets)
	rank, seen := int64(math.Ceil(q*float64(h.Count()))), int64(0)
	for _, bucket := range buckets {
		if seen += h[bucket]; seen >= rank && h[bucket] > 0 {
			return bucketMiddle(bucket)
		}
	}
	return 0
}

// MarshalJSON writes the histogram as an object of counts by bucket number,
// also when there is none.
func (h Histogram) MarshalJSON() ([]byte, error) {
	object := make(map[string]int64, len(h))
	for bucket, n := range h {
		object[strconv.Itoa(bucket)] = n
	}
	return json.Marshal(object)
}
