package report

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Histogram counts durations from 1 µs to 10 min to three significant digits, in
// the form in which processes send it to each other. The zero Histogram is empty.
type Histogram struct{ h *hdrhistogram.Histogram }

const (
	histogramUnit   = time.Microsecond
	histogramMost   = 10 * time.Minute
	histogramDigits = 3
)

func (h *Histogram) init() {
	if h.h == nil {
		h.h = hdrhistogram.New(1, int64(histogramMost/histogramUnit), histogramDigits)
	}
}

// Record counts d. A negative one is an error: whoever measures has mixed up two
// instants, and a zero in its place would hide that.
func (h *Histogram) Record(d time.Duration) error {
	if d < 0 || d > histogramMost {
		return fmt.Errorf("report: a measured duration of %v", d)
	}
	h.init()
	return h.h.RecordValue(int64((d + histogramUnit/2) / histogramUnit))
}

// Merge adds all that other has counted.
func (h *Histogram) Merge(other Histogram) {
	if other.h == nil {
		return
	}
	h.init()
	h.h.Merge(other.h) // of one geometry: nothing is dropped
}

// Count is how many durations were recorded.
func (h Histogram) Count() int64 {
	if h.h == nil {
		return 0
	}
	return h.h.TotalCount()
}

// Percentiles returns nil when nothing was recorded.
func (h Histogram) Percentiles() *Percentiles {
	if h.Count() == 0 {
		return nil
	}
	return &Percentiles{
		P50: milliseconds(h.h.ValueAtPercentile(50)),
		P99: milliseconds(h.h.ValueAtPercentile(99)),
		Max: milliseconds(h.h.Max()),
	}
}

// Quantile returns, in milliseconds, what at most a part q of the durations exceed: 0.01
// is the 99th percentile, 0 the greatest. It is 0 when nothing was recorded.
func (h Histogram) Quantile(q float64) float64 {
	switch {
	case h.Count() == 0:
		return 0
	case q <= 0:
		return milliseconds(h.h.Max())
	}
	return milliseconds(h.h.ValueAtPercentile(100 * (1 - q)))
}

func milliseconds(n int64) float64 {
	return float64(n) * float64(histogramUnit) / float64(time.Millisecond)
}

// MarshalText implements encoding.TextMarshaler: HdrHistogram's compressed V2 form.
func (h Histogram) MarshalText() ([]byte, error) {
	h.init()
	return h.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Histogram) UnmarshalText(b []byte) error {
	d, err := hdrhistogram.Decode(b)
	if err != nil {
		return fmt.Errorf("report: histogram: %w", err)
	}
	*h = Histogram{}
	h.init()
	if dropped := h.h.Merge(d); dropped > 0 {
		return fmt.Errorf("report: histogram: %d values out of range", dropped)
	}
	return nil
}

// Percentiles are in milliseconds.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}
