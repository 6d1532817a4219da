package redisstore

import (
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/bellwether-go/bellwether"
)

// layout is the version of everything below. It is part of every key name, so
// that another layout can never misread this one.
const layout = "bw1"

// buckets is how many hash tags the rows are spread over. It is part of the
// layout: a change would make every row unfindable.
const buckets = 1024

// sentinel is a member of every due set that was ever written. A due set without
// it was lost, not emptied. It cannot be an id: ids have at least one byte.
const sentinel = ""

// keys builds every key name of one namespace. No name holds a secret: what is
// looked up by a secret is named by a keyed digest.
type keys struct {
	prefix string // "bw1:<ns>:"
	sealer bellwether.Sealer
}

func newKeys(namespace string, sealer bellwether.Sealer) keys {
	return keys{prefix: layout + ":" + namespace + ":", sealer: sealer}
}

func bucketOf(id string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return h.Sum32() % buckets
}

// tags are the hash tags of the buckets.
var tags = func() (t [buckets]string) {
	for b := range t {
		t[b] = fmt.Sprintf("{%04x}:", b)
	}
	return t
}()

// row, lock and due share a slot: all that a refresh touches.
func (k keys) row(id string) string     { return k.prefix + tags[bucketOf(id)] + "t:" + id }
func (k keys) lock(id string) string    { return k.prefix + tags[bucketOf(id)] + "l:" + id }
func (k keys) due(id string) string     { return k.dueOf(bucketOf(id)) }
func (k keys) dueOf(b uint32) string    { return k.prefix + tags[b] + "due" }
func (k keys) meta() string             { return k.prefix + "meta" }
func (k keys) channel() string          { return k.prefix + "ev" }
func (k keys) cooldown(c string) string { return k.prefix + "cd:{" + c + "}" }

// index names the entry of a looked-up value: what is "user", "rt", "gt" or "at".
func (k keys) index(what, value string) string {
	return k.entry(what, k.indexDigest(what, value))
}

// indexDigest is what the name of an index entry is made of; rows keep it, so that an
// entry can be removed when the value is long gone.
func (k keys) indexDigest(what, value string) string {
	return string(k.sealer.MAC(what, value)[:indexDigestSize])
}

const indexDigestSize = 16

func (k keys) entry(what, digest string) string {
	return k.prefix + "ix:{" + base64.RawURLEncoding.EncodeToString([]byte(digest)) + "}:" + what
}

// digest is a keyed 128-bit digest in 22 characters.
func (k keys) digest(parts ...string) string {
	return base64.RawURLEncoding.EncodeToString(k.sealer.MAC(parts...)[:16])
}

// macSize is the length of the short MACs kept in a row; the scripts know it too.
const macSize = 8

// mac is the short MAC of a credential as kept in the row; "" for an absent one.
func (k keys) mac(what string, s bellwether.Secret) string {
	if s.IsZero() {
		return ""
	}
	return string(k.sealer.MAC("past", what, s.Reveal())[:macSize])
}

// client is the digest of the OAuth client that a cooldown may concern.
func (k keys) client(t bellwether.Token) string {
	return k.digest("client", t.Provider, t.AccountsURL, t.ClientID)
}

// digestSize is the length of one part of a user index member.
const digestSize = 4

const narrowingSize = 3 * digestSize

var blankDigest = strings.Repeat("\x00", digestSize)

// narrowing is the head of a user index member: three digests, of provider, data
// centre and client. Zeros stand for a blank.
func (k keys) narrowing(t bellwether.Token) string {
	var b strings.Builder
	for i, v := range []string{t.Provider, t.AccountsURL, t.ClientID} {
		if v == "" {
			b.WriteString(blankDigest)
			continue
		}
		d := k.sealer.MAC("narrow", [...]string{"provider", "accounts", "client"}[i], v)[:digestSize]
		if string(d) == blankDigest {
			d[0] = 1 // zeros are taken
		}
		b.Write(d)
	}
	return b.String()
}
