package redisstore

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-go/bellwether"
)

// overrides is the content of ov: what saves changed of the things that a refresh
// writes, without starting a lineage. They are kept apart so that neither undoes the
// other, and last until the next lineage.
type overrides struct {
	apiDomain string
	tokenType string
	scopes    []string
	cleared   string // the tags of what a save has cleared

	// The end of the refresh token, as long as it is this one.
	refreshOf      string
	refreshExpires time.Time

	// By key, what a save made of an extra that an answer had brought. Another answer
	// with another value is newer and wins.
	extra map[string]change
}

type change struct{ was, is bellwether.Secret }

// apply lays the overrides over what the last refresh left. It shares no map with
// either.
func (o overrides) apply(c *credentials) {
	if o.apiDomain != "" || o.has(crAPIDomain) {
		c.apiDomain = o.apiDomain
	}
	if o.tokenType != "" || o.has(crType) {
		c.tokenType = o.tokenType
	}
	if len(o.scopes) > 0 || o.has(crScope) {
		c.scopes = o.scopes
	}
	if o.has(crGrant) {
		c.grant = bellwether.Secret{}
	}
	if o.refreshOf != "" && o.refreshOf == tokenDigest(c.refresh) {
		c.refreshExpires = o.refreshExpires
	}
	c.extra = maps.Clone(c.extra)
	for k, ch := range o.extra {
		switch v, ok := c.extra[k]; {
		case !ok || !v.Equal(ch.was):
		case ch.is.IsZero():
			delete(c.extra, k)
		default:
			c.extra[k] = ch.is
		}
	}
}

func (o overrides) has(tag byte) bool { return strings.IndexByte(o.cleared, tag) >= 0 }

// overridden returns the overrides by which a row with the credentials base shows
// next; was are those it has so far. What was overridden and is not changed now stays
// so, though base may agree by now: the next answer need not.
func overridden(was overrides, base credentials, next bellwether.Token) overrides {
	var o overrides
	text := func(tag byte, was, base, next string) string {
		switch {
		case next == base && next != was:
			return ""
		case next == "" && base != "":
			o.cleared += string(rune(tag))
		}
		return next
	}
	o.apiDomain = text(crAPIDomain, was.apiDomain, base.apiDomain, next.APIDomain)
	o.tokenType = text(crType, was.tokenType, base.tokenType, next.TokenType)
	if !slices.Equal(next.Scopes, base.scopes) || slices.Equal(next.Scopes, was.scopes) {
		o.scopes = next.Scopes
		if len(next.Scopes) == 0 && len(base.scopes) > 0 {
			o.cleared += string(rune(crScope))
		}
	}
	if next.GrantToken.IsZero() && !base.grant.IsZero() {
		o.cleared += string(rune(crGrant))
	}
	if !next.RefreshExpiresAt.Equal(base.refreshExpires) {
		o.refreshOf, o.refreshExpires = tokenDigest(base.refresh), next.RefreshExpiresAt
	}
	for k, v := range base.extra {
		if is := next.Extra[k]; !is.Equal(v) {
			if o.extra == nil {
				o.extra = make(map[string]change)
			}
			o.extra[k] = change{was: v, is: is}
		}
	}
	return o
}

// tokenDigest tells refresh tokens apart inside a sealed field.
func tokenDigest(s bellwether.Secret) string {
	if s.IsZero() {
		return ""
	}
	h := sha256.Sum256([]byte(s.Reveal()))
	return string(h[:digestOfToken])
}

const digestOfToken = 8

func (s *Store) sealOv(id string, o overrides) (string, error) {
	var e encoder
	e.bytes(crAPIDomain, o.apiDomain)
	e.list(crScope, o.scopes)
	e.bytes(crType, o.tokenType)
	e.bytes(ovCleared, o.cleared)
	if o.refreshOf != "" {
		e.bytes(crExpires, o.refreshOf+formatMillis(o.refreshExpires))
	}
	for k, ch := range o.extra {
		var b []byte
		for _, s := range []string{k, ch.was.Reveal(), ch.is.Reveal()} {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
		e.bytes(ovExtra, string(b))
	}
	return s.seal(e, s.aad(id, "ov"))
}

func (s *Store) openOv(id, sealed string, o *overrides) error {
	return s.open(id, sealed, s.aad(id, "ov"), func(tag byte, v []byte) error {
		switch tag {
		case crAPIDomain:
			o.apiDomain = string(v)
		case crScope:
			o.scopes = append(o.scopes, string(v))
		case crType:
			o.tokenType = string(v)
		case ovCleared:
			o.cleared = string(v)
		case crExpires:
			if len(v) < digestOfToken {
				return errCodec
			}
			o.refreshOf = string(v[:digestOfToken])
			return decodeMillis(&o.refreshExpires, v[digestOfToken:])
		case ovExtra:
			return o.decodeExtra(v)
		}
		return nil
	})
}

func (o *overrides) decodeExtra(v []byte) error {
	var parts [3]string
	for i := range parts {
		n, w := binary.Uvarint(v)
		if w <= 0 || n > uint64(len(v)-w) {
			return errCodec
		}
		parts[i], v = string(v[w:w+int(n)]), v[w+int(n):]
	}
	if o.extra == nil {
		o.extra = make(map[string]change)
	}
	o.extra[parts[0]] = change{was: bellwether.NewSecret(parts[1]), is: bellwether.NewSecret(parts[2])}
	return nil
}
