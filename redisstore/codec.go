package redisstore

import (
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/bellwether-go/bellwether"
)

// The plaintext of a sealed field is a list of (tag byte, uvarint length, bytes).
// A reader skips tags that it does not know, so that a newer writer may add some.

var errCodec = errors.New("sealed field is malformed")

type encoder []byte

func (e *encoder) bytes(tag byte, s string) {
	if s == "" {
		return
	}
	*e = append(*e, tag)
	*e = binary.AppendUvarint(*e, uint64(len(s)))
	*e = append(*e, s...)
}

func (e *encoder) secret(tag byte, s bellwether.Secret) { e.bytes(tag, s.Reveal()) }

func (e *encoder) time(tag byte, t time.Time) {
	if !t.IsZero() {
		e.bytes(tag, formatMillis(t))
	}
}

// list writes one entry an element, and keeps empty elements.
func (e *encoder) list(tag byte, l []string) {
	for _, s := range l {
		*e = append(*e, tag)
		*e = binary.AppendUvarint(*e, uint64(len(s)))
		*e = append(*e, s...)
	}
}

func (e *encoder) extra(tag byte, m map[string]bellwether.Secret) {
	for k, v := range m {
		b := binary.AppendUvarint(nil, uint64(len(k)))
		b = append(b, k...)
		b = append(b, v.Reveal()...)
		e.bytes(tag, string(b))
	}
}

// decode calls f for each entry of b.
func decode(b []byte, f func(tag byte, v []byte) error) error {
	for len(b) > 0 {
		tag := b[0]
		n, w := binary.Uvarint(b[1:])
		if w <= 0 || n > uint64(len(b)-1-w) {
			return errCodec
		}
		b = b[1+w:]
		if err := f(tag, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func decodeExtra(m *map[string]bellwether.Secret, v []byte) error {
	n, w := binary.Uvarint(v)
	if w <= 0 || n > uint64(len(v)-w) {
		return errCodec
	}
	if *m == nil {
		*m = make(map[string]bellwether.Secret)
	}
	(*m)[string(v[w:w+int(n)])] = bellwether.NewSecret(string(v[w+int(n):]))
	return nil
}

func formatMillis(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

// parseMillis reads Unix milliseconds; blank, zero and nonsense are the zero time.
func parseMillis(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

func decodeMillis(t *time.Time, v []byte) error {
	*t = parseMillis(string(v))
	return nil
}
