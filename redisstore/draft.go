package redisstore

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"

	"github.com/bellwether-go/bellwether"
)

// A draft is what one save writes.
type draft struct {
	next   bellwether.Token
	set    map[string]string // fields of the row; a blank one is dropped
	claims []claim           // what the row did not have before
	kept   []claim           // what the row has and the save says again
	left   []entry           // what the row has no more
	access string            // digest of an access token that is to be found from now on
	least  int64             // generation that the write makes at least
}

// compose makes the row that saving t over r gives. Since the row is written only if
// its generation is still r's, all of it may be composed here, but for what a refresh
// writes without a new generation: intent, call log, cooldown.
func (s *Store) compose(r *row, t bellwether.Token) (*draft, error) {
	old := bellwether.Token{ID: r.id, Generation: r.gen}
	if r.live() {
		old = r.token()
	}
	given := s.strip(r, t)
	d := &draft{set: make(map[string]string)}
	switch {
	case t.Generation == 0:
		d.next = old.Merge(given)
	case !r.live() || t.Generation != r.gen:
		return nil, conflictf(r.id, "read the row again and repeat the change", "the row does not have generation %d", t.Generation)
	default:
		d.next = old.Replace(given)
	}
	if !d.next.HasCredential() {
		return nil, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "save", ID: d.next.ID,
			Detail: "the row would hold no credential",
			Hint:   "give a refresh, grant or access token that this row has not superseded, or client id and secret"}
	}
	lineage := !r.live() || old.StartsLineage(d.next)
	if r.st == stRevoking && !lineage {
		return nil, &bellwether.Error{Kind: bellwether.ErrRevoking, Op: "save", ID: r.id,
			Hint: "revoke it again to finish, or save a new sign-in"}
	}
	if !r.live() {
		d.next.CreatedAt = parseMillis(formatMillis(s.clock.earliest()))
	}
	if lineage {
		d.next.State, d.next.Failure = bellwether.StateActive, nil
	}
	if err := s.composeFields(d, r, lineage); err != nil {
		return nil, err
	}
	s.composePast(d, r, lineage)
	s.composeIndex(d, r, given, t.ID == "")
	return d, nil
}

// strip returns t without the credentials that r has superseded, nor what t tells of
// them.
func (s *Store) strip(r *row, t bellwether.Token) bellwether.Token {
	past := r.pf + r.pr
	if m := s.keys.mac("rt", t.RefreshToken); m != "" && m != r.mr && inRing(past, m) {
		t = t.WithoutRefreshToken()
	}
	if m := s.keys.mac("gt", t.GrantToken); m != "" && m != r.mg && inRing(past, m) {
		t.GrantToken = bellwether.Secret{}
	}
	if m := s.keys.mac("at", t.AccessToken); m != "" && m != r.ma && inRing(r.pa, m) {
		t = t.WithoutAccessToken()
	}
	return t
}

// composeFields fills in all but the past and the index: see docs/adr/0001 for who
// writes what.
func (s *Store) composeFields(d *draft, r *row, lineage bool) error {
	next, set := d.next, d.set
	// A cleared refresh token is a changed credential too.
	newCred := lineage || !r.refresh.IsZero() && next.RefreshToken.IsZero()
	newAccess := !next.AccessToken.Equal(r.access)
	newAt := newCred || newAccess || !next.IssuedAt.Equal(r.issued) || !next.ExpiresAt.Equal(r.expires)

	c := r.credentials
	c.access, c.issued, c.expires = next.AccessToken, next.IssuedAt, next.ExpiresAt
	var over overrides
	cred := r.cred
	if newCred {
		cred = rand.Text()
		c.refresh, c.grant, c.refreshExpires = next.RefreshToken, next.GrantToken, next.RefreshExpiresAt
		c.tokenType, c.apiDomain, c.scopes = next.TokenType, next.APIDomain, next.Scopes
		c.extra = maps.Clone(c.extra)
		maps.DeleteFunc(c.extra, func(k string, v bellwether.Secret) bool { return !next.Extra[k].Equal(v) })
		for _, field := range []string{"prev", "in", "sp", "db", "fd", "ix", "lc"} {
			set[field] = ""
		}
		set["ln"] = cred
	} else {
		if next.AccessToken.IsZero() {
			c.extra, c.tokenType, c.apiDomain = nil, c.crType, c.crDomain
		} else if newAccess {
			c.tokenType = next.TokenType
		}
		was := r.over
		if newAccess {
			was.tokenType = ""
		}
		over = overridden(was, c, next)
	}
	if lineage {
		for _, field := range []string{"cd", "fl", "lg", "fo"} {
			set[field] = ""
		}
		set["st"] = stActive
	}

	var err error
	if newCred {
		set["cred"], set["mr"] = cred, s.keys.mac("rt", next.RefreshToken)
		if set["cr"], err = s.sealCr(r.id, c); err != nil {
			return err
		}
	}
	set["mg"] = s.keys.mac("gt", next.GrantToken)
	if newAt {
		set["exp"], set["ma"] = formatMillis(c.expires), s.keys.mac("at", c.access)
		if set["at"], err = s.sealAt(r.id, cred, c); err != nil {
			return err
		}
	}
	if set["ov"], err = s.sealOv(r.id, over); err != nil {
		return err
	}
	g := given{secret: next.ClientSecret, client: next.ClientID, accounts: next.AccountsURL,
		user: next.UserName, redirect: next.RedirectURL, created: next.CreatedAt, extra: maps.Clone(next.Extra)}
	if !c.access.IsZero() { // what the answer brought shows by itself
		maps.DeleteFunc(g.extra, func(k string, _ bellwether.Secret) bool { _, ok := c.extra[k]; return ok })
	}
	if set["sec"], err = s.sealSec(r.id, next.Provider, g); err != nil {
		return err
	}
	set["pn"], set["cm"] = next.Provider, s.keys.client(next)
	return nil
}

// How much of the past a row keeps; commit.lua knows it too.
const (
	keepFirst  = 16 // first refresh and grant token of each lineage
	keepLast   = 15 // superseded refresh and grant tokens
	keepAccess = 15 // superseded access tokens
)

// composePast adds what next has taken the place of. What was only cleared, or deleted
// with its row, may come back, and is no past.
func (s *Store) composePast(d *draft, r *row, lineage bool) {
	pf, pr, pa := r.pf, r.pr, r.pa
	superseded := func(was, is string) bool { return was != "" && was != is && (is != "" || lineage && r.live()) }
	for _, c := range []struct{ was, is string }{
		{r.mg, s.keys.mac("gt", d.next.GrantToken)},
		{r.mr, s.keys.mac("rt", d.next.RefreshToken)},
	} {
		switch {
		case c.was == c.is:
		case superseded(c.was, c.is):
			pr = push(pr, c.was, keepLast)
		case c.was != "":
			pf = outOfRing(pf, c.was)
		}
		if c.is != c.was {
			pf = push(pf, c.is, keepFirst)
		}
	}
	if is := s.keys.mac("at", d.next.AccessToken); superseded(r.ma, is) {
		pa = push(pa, r.ma, keepAccess)
	}
	d.set["pf"], d.set["pr"], d.set["pa"] = pf, pr, pa
}

func inRing(ring, mac string) bool {
	for i := 0; i+macSize <= len(ring); i += macSize {
		if ring[i:i+macSize] == mac {
			return true
		}
	}
	return false
}

func outOfRing(ring, mac string) string {
	var b strings.Builder
	for m := range slices.Chunk([]byte(ring), macSize) {
		if string(m) != mac {
			b.Write(m)
		}
	}
	return b.String()
}

// push adds mac, once, and forgets the oldest beyond most.
func push(ring, mac string, most int) string {
	if mac == "" || inRing(ring, mac) {
		return ring
	}
	ring += mac
	return ring[max(0, len(ring)-most*macSize):]
}
