package redistest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// maxFrame bounds what the proxy holds of one command or reply.
const maxFrame = 64 << 20

// readFrame reads one whole RESP2 or RESP3 value and appends its bytes to buf.
func readFrame(r *bufio.Reader, buf []byte) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return buf, err
	}
	buf = append(buf, line...)
	if len(line) < 3 {
		return buf, fmt.Errorf("redistest: short RESP line %q", line)
	}
	kind, count := line[0], line[1:len(line)-2]
	elements := 0
	switch kind {
	case '+', '-', ':', '_', '#', ',', '(':
		return buf, nil
	case '$', '!', '=':
		n, err := frameLen(count)
		if err != nil || n < 0 {
			return buf, err
		}
		start := len(buf)
		buf = append(buf, make([]byte, n+2)...)
		_, err = io.ReadFull(r, buf[start:])
		return buf, err
	case '*', '~', '>':
		if elements, err = frameLen(count); err != nil {
			return buf, err
		}
	case '%':
		if elements, err = frameLen(count); err != nil {
			return buf, err
		}
		elements *= 2
	case '|': // attributes: pairs, and then the value they belong to
		if elements, err = frameLen(count); err != nil {
			return buf, err
		}
		elements = 2*elements + 1
	default:
		return buf, fmt.Errorf("redistest: not a RESP type: %q", kind)
	}
	for range elements {
		if buf, err = readFrame(r, buf); err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// frameLen parses a length; -1 is RESP2's null.
func frameLen(b []byte) (int, error) {
	n, err := strconv.Atoi(string(b))
	if err != nil || n < -1 || n > maxFrame {
		return 0, fmt.Errorf("redistest: RESP length %q", b)
	}
	return n, nil
}

// parseCommand returns the words of a command, which is an array of bulk strings.
func parseCommand(frame []byte) ([]string, error) {
	line, rest, _ := bytes.Cut(frame, []byte("\r\n"))
	if len(line) < 2 || line[0] != '*' {
		return nil, fmt.Errorf("redistest: not a command: %q", line)
	}
	n, err := frameLen(line[1:])
	if err != nil {
		return nil, err
	}
	words := make([]string, 0, max(0, n))
	for range n {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if len(line) < 2 || line[0] != '$' {
			return nil, fmt.Errorf("redistest: not a bulk string: %q", line)
		}
		size, err := frameLen(line[1:])
		if err != nil || size < 0 || size+2 > len(rest) {
			return nil, fmt.Errorf("redistest: bulk string of %q bytes", line[1:])
		}
		words = append(words, string(rest[:size]))
		rest = rest[size+2:]
	}
	return words, nil
}
