package redisstore

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
)

// A row keeps, in clear, digests of the entries that the index holds of it, so that
// they can be removed when their values are long gone or cannot be unsealed:
//
//	xf  "r" or "g" and a digest: the first refresh and grant token of each lineage
//	xr  digests: the last refresh tokens that a refresh brought
//	xu  digest and narrowing of the user name
const (
	firstSize  = 1 + indexDigestSize
	keepRecent = 3 // commit.lua knows it too
)

// unknownLife is how long an access token is looked up whose end is not known.
const unknownLife = 24 * time.Hour

// leastLife keeps the entry of a token that has ended for those who still look for it.
const leastLife = time.Minute

// lastFirst is the newest digest of a kind in xf.
func lastFirst(xf string, letter byte) string {
	for i := len(xf) - firstSize; i >= 0; i -= firstSize {
		if xf[i] == letter {
			return xf[i+1 : i+firstSize]
		}
	}
	return ""
}

// userEntry is the entry of the row's user name.
func (r *row) userEntry() (entry, bool) {
	if len(r.xu) != indexDigestSize+narrowingSize {
		return entry{}, false
	}
	return entry{kind: kindUser, digest: r.xu[:indexDigestSize], member: r.xu[indexDigestSize:] + r.id}, true
}

// entries are those of a row but for its access tokens, which die by themselves.
func (r *row) entries() []entry {
	var all []entry
	for i := 0; i+firstSize <= len(r.xf); i += firstSize {
		kind := kindRefresh
		if r.xf[i] == 'g' {
			kind = kindGrant
		}
		all = append(all, entry{kind: kind, digest: r.xf[i+1 : i+firstSize]})
	}
	for i := 0; i+indexDigestSize <= len(r.xr); i += indexDigestSize {
		all = append(all, entry{kind: kindRefresh, digest: r.xr[i : i+indexDigestSize]})
	}
	if e, ok := r.userEntry(); ok {
		all = append(all, e)
	}
	return all
}

// composeIndex says what a save over r claims and what the row leaves behind. What the
// row has already is looked after when the save says it again: a process may have died
// before it was in the index.
func (s *Store) composeIndex(d *draft, r *row, given bellwether.Token, nameless bool) {
	xf, xr := r.xf, r.xr
	leave := func(kind, digest string) {
		xf = without(xf, firstSize, digest)
		xr = without(xr, indexDigestSize, digest)
		d.left = append(d.left, entry{kind: kind, digest: digest})
	}
	for _, c := range []struct {
		kind, letter, was string
		had, is, given    bellwether.Secret
	}{
		{kindGrant, "g", r.mg, r.grant, d.next.GrantToken, given.GrantToken},
		{kindRefresh, "r", r.mr, r.refresh, d.next.RefreshToken, given.RefreshToken},
	} {
		mac := s.keys.mac(c.kind, c.is)
		if r.live() && mac == c.was {
			if !c.given.IsZero() {
				d.kept = append(d.kept, s.tokenClaim(c.kind, c.is))
			}
			continue
		}
		if r.live() && mac == "" && !inRing(d.set["pr"], c.was) { // cleared, it is nobody's
			leave(c.kind, s.keys.indexDigest(c.kind, c.had.Reveal()))
		}
		if mac == "" {
			continue
		}
		cl := s.tokenClaim(c.kind, c.is)
		d.claims = append(d.claims, cl)
		xf = without(xf, firstSize, cl.digest) + c.letter + cl.digest
	}
	for len(xf) > keepFirst*firstSize {
		kind := kindRefresh
		if xf[0] == 'g' {
			kind = kindGrant
		}
		d.left = append(d.left, entry{kind: kind, digest: xf[1:firstSize]})
		xf = xf[firstSize:]
	}
	if access := d.next.AccessToken; !access.IsZero() {
		cl := s.tokenClaim(kindAccess, access)
		switch {
		case !r.live() && nameless && identifiesByAccess(given): // others may look for it before they insert
			cl.life = s.accessLife(d.next.ExpiresAt)
			d.claims = append(d.claims, cl)
		case !r.live() || cl.mac != r.ma || !given.AccessToken.IsZero() || !given.ExpiresAt.IsZero():
			d.access = cl.digest
		}
	}
	xu := ""
	if user := d.next.UserName; user != "" {
		xu = s.keys.indexDigest(kindUser, user) + s.keys.narrowing(d.next)
	}
	was, had := r.userEntry()
	if had && (xu == "" || xu[:indexDigestSize] != was.digest) {
		d.left = append(d.left, was)
	}
	if xu != "" {
		cl := claim{entry: entry{kind: kindUser, digest: xu[:indexDigestSize], member: xu[indexDigestSize:] + r.id}}
		switch {
		case !r.live() || xu != r.xu:
			d.claims = append(d.claims, cl)
		case given.UserName != "":
			d.kept = append(d.kept, cl)
		}
	}
	d.set["xf"], d.set["xr"], d.set["xu"] = xf, xr, xu
}

func (s *Store) tokenClaim(kind string, v bellwether.Secret) claim {
	return claim{entry: entry{kind: kind, digest: s.keys.indexDigest(kind, v.Reveal())}, mac: s.keys.mac(kind, v)}
}

// without removes the items of a size that end in digest.
func without(items string, size int, digest string) string {
	var b strings.Builder
	for i := 0; i+size <= len(items); i += size {
		if item := items[i : i+size]; !strings.HasSuffix(item, digest) {
			b.WriteString(item)
		}
	}
	return b.String()
}

// accessLife is how long the entry of an access token is kept.
func (s *Store) accessLife(expires time.Time) time.Duration {
	now, ok := s.clock.now()
	if expires.IsZero() || !ok {
		return unknownLife
	}
	return max(expires.Sub(now), leastLife)
}

// tidy brings the index in line with what was written: the access token can be found,
// and what the row has no more cannot.
func (s *Store) tidy(ctx context.Context, id string, gen int64, access string, expires time.Time, left []entry) error {
	_, err := s.runAll(ctx, s.drops(id, gen, left), func(pipe redis.Pipeliner) {
		if access != "" {
			pipe.Set(ctx, s.keys.entry(kindAccess, access), confirmed(id, gen), s.accessLife(expires))
		}
	})
	return err
}

// drops removes entries that an earlier generation of the row has confirmed.
func (s *Store) drops(id string, gen int64, left []entry) []call {
	var calls []call
	for _, e := range left {
		if e.kind == kindUser {
			calls = append(calls, call{s.scripts.dropUser, []string{s.key(e)}, []any{e.member, "", gen}})
		} else {
			calls = append(calls, call{s.scripts.dropToken, []string{s.key(e)}, []any{"", id, gen}})
		}
	}
	return calls
}

// confirmed is the entry of a token that belongs to a row.
func confirmed(id string, gen int64) string { return "c " + strconv.FormatInt(gen, 10) + " " + id }

// dropAll removes what the index holds of a deleted row; v is the answer of
// delete.lua. The access token is known only if the row can be opened; else its entry
// leads to a tombstone, and dies.
func (s *Store) dropAll(id string, v []string) []call {
	gen, _ := strconv.ParseInt(v[1], 10, 64)
	r := &row{id: id, xf: v[5], xr: v[6], xu: v[7]}
	left := r.entries()
	var c credentials
	if s.openAt(id, v[4], v[3], v[2], &c) == nil && !c.access.IsZero() {
		left = append(left, entry{kind: kindAccess, digest: s.keys.indexDigest(kindAccess, c.access.Reveal())})
	}
	return s.drops(id, gen, left)
}
