package wire

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxLife caps what an answer can claim as the life of a token. It is longer
// than any real one and keeps arithmetic on times clear of overflow.
const MaxLife = 10 * 365 * 24 * time.Hour

// MaxRetryAfter caps what an answer can ask for as a pause.
const MaxRetryAfter = 24 * time.Hour

// ErrNumber: a member that must be a number of seconds is something else.
var ErrNumber = errors.New("not a number of seconds")

// Seconds reads the member key as a number of seconds: a JSON number, whole or
// not, or the same in a string. Absent, null and "" are 0, as are zero and
// negative numbers: a token that has just been issued has not ended, and
// providers write 0 or -1 for "does not end". More than MaxLife is MaxLife.
func (f Fields) Seconds(key string) (time.Duration, error) {
	n, err := f.Number(key)
	if err != nil || n <= 0 {
		return 0, err
	}
	return span(n, MaxLife), nil
}

// Number reads the member key like Seconds does, without limits; absent is 0.
func (f Fields) Number(key string) (float64, error) {
	switch v := f[key].(type) {
	case nil:
		return 0, nil
	case json.Number:
		return number(v.String())
	case string:
		if strings.TrimSpace(v) == "" {
			return 0, nil
		}
		return number(v)
	}
	return 0, ErrNumber
}

func number(s string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if errors.Is(err, strconv.ErrRange) {
		return n, nil // an infinity of the right sign
	}
	if err != nil || math.IsNaN(n) {
		return 0, ErrNumber
	}
	return n, nil
}

// span converts n > 0 seconds to a duration of at most limit, whole milliseconds.
func span(n float64, limit time.Duration) time.Duration {
	if n >= limit.Seconds() {
		return limit
	}
	return time.Duration(n*1000) * time.Millisecond
}

// RetryAfter reads the Retry-After header (RFC 9110 section 10.2.3): seconds or
// a date, the latter counted from now. It is 0 when absent, unreadable or past,
// and at most MaxRetryAfter.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if n, err := number(v); err == nil {
		if n <= 0 {
			return 0
		}
		return span(n, MaxRetryAfter)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return max(0, min(at.Sub(now), MaxRetryAfter))
}
