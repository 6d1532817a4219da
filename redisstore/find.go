package redisstore

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
)

// Find implements bellwether.Store.
//
// An index entry is a hint: it counts only if the row that it names has the user name
// or the token by its own account.
func (s *Store) Find(ctx context.Context, partial bellwether.Token) (bellwether.Token, error) {
	if partial.ID != "" {
		return s.FindByID(ctx, partial.ID)
	}
	if err := ended(ctx, "find", ""); err != nil {
		return bellwether.Token{}, err
	}
	if err := partial.Validate(); err != nil {
		return bellwether.Token{}, err
	}
	if len(s.rules(partial)) == 0 {
		return bellwether.Token{}, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "find",
			Detail: "there is nothing to look for",
			Hint:   "give an ID, a user name, a refresh or grant token, or an access token without client credentials"}
	}
	r, err := s.identify(ctx, "find", partial)
	if err != nil {
		return bellwether.Token{}, fault(ctx, "find", "", err)
	}
	if r == nil {
		return bellwether.Token{}, &bellwether.Error{Kind: bellwether.ErrNotFound, Op: "find"}
	}
	return r.token(), nil
}

// FindByID implements bellwether.Store.
func (s *Store) FindByID(ctx context.Context, id string) (bellwether.Token, error) {
	if err := ended(ctx, "find by ID", id); err != nil {
		return bellwether.Token{}, err
	}
	if err := bellwether.ValidateID(id); err != nil {
		return bellwether.Token{}, err
	}
	r, err := s.read(ctx, id)
	if err != nil {
		return bellwether.Token{}, fault(ctx, "find by ID", id, err)
	}
	if !r.live() {
		return bellwether.Token{}, &bellwether.Error{Kind: bellwether.ErrNotFound, Op: "find by ID", ID: id}
	}
	return r.token(), nil
}

// read reads a whole row; a missing one is not live. With an error of the kind
// ErrUnreadable there is a row all the same.
func (s *Store) read(ctx context.Context, id string) (*row, error) {
	reply, err := s.client.HMGet(ctx, s.keys.row(id), rowFields...).Result()
	if err != nil {
		return nil, err
	}
	r, err := s.newRow(id, texts(reply))
	if err == nil {
		s.finishIndex(ctx, r)
	}
	return r, err
}

// identifiesByAccess reports whether the access token is what t is looked for by.
func identifiesByAccess(t bellwether.Token) bool {
	return !t.AccessToken.IsZero() && t.ClientID == "" && t.ClientSecret.IsZero()
}

// rules are the rules of identity that apply to t, in their order, each with the
// entries that it looks at; see bellwether.Store.
func (s *Store) rules(t bellwether.Token) [][]claim {
	var rules [][]claim
	if t.UserName != "" {
		e := entry{kind: kindUser, digest: s.keys.indexDigest(kindUser, t.UserName), member: s.keys.narrowing(t)}
		rules = append(rules, []claim{{entry: e}})
	}
	if identifiesByAccess(t) {
		rules = append(rules, []claim{s.tokenClaim(kindAccess, t.AccessToken)})
	}
	var tokens []claim
	if !t.RefreshToken.IsZero() {
		tokens = append(tokens, s.tokenClaim(kindRefresh, t.RefreshToken))
	}
	if !t.GrantToken.IsZero() {
		tokens = append(tokens, s.tokenClaim(kindGrant, t.GrantToken))
	}
	if len(tokens) > 0 {
		rules = append(rules, tokens)
	}
	return rules
}

// A hint is what an index entry says: perhaps this row.
type hint struct {
	claim
	id      string
	pending bool
}

// identify returns the row that t, which has no ID, identifies, or nil.
func (s *Store) identify(ctx context.Context, op string, t bellwether.Token) (*row, error) {
	for _, rule := range s.rules(t) {
		found, err := s.match(ctx, rule, t)
		switch {
		case err != nil:
			return nil, err
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			return nil, &bellwether.Error{Kind: bellwether.ErrAmbiguous, Op: op,
				Hint: "narrow it by provider, accounts URL and client id, or give the ID"}
		}
	}
	return nil, nil
}

// match returns the rows that one rule finds.
func (s *Store) match(ctx context.Context, rule []claim, t bellwether.Token) ([]*row, error) {
	hints, err := s.lookup(ctx, rule)
	if err != nil {
		return nil, err
	}
	rows := make(map[string]*row)
	var found []*row
	for _, h := range hints {
		r, seen := rows[h.id]
		if !seen {
			if r, err = s.follow(ctx, h); err != nil {
				return nil, err
			}
			rows[h.id] = r
		}
		if r == nil || !r.carries(h.claim) || slices.Contains(found, r) {
			continue
		}
		stored := r.token()
		if (stored.UserName == "" || t.UserName == "" || stored.UserName == t.UserName) && bellwether.Compatible(stored, t) {
			found = append(found, r)
		}
	}
	return found, nil
}

// follow reads the row of a hint, or nil when it has not what the hint says. A claim
// that its saver did not come to confirm is confirmed, and an insert whose claim is
// confirmed is made visible.
func (s *Store) follow(ctx context.Context, h hint) (*row, error) {
	r, err := s.read(ctx, h.id)
	if err == nil && r.st == stPending && !h.pending && r.carries(h.claim) {
		if err = s.complete(ctx, r); err == nil {
			r, err = s.read(ctx, h.id)
		}
	}
	if r == nil || !r.live() || !r.carries(h.claim) {
		if errors.Is(err, bellwether.ErrUnreadable) {
			err = nil // not the row that was looked for
		}
		return nil, err
	}
	if err == nil && h.pending {
		if _, err := s.confirm(ctx, r.id, r.gen, []claim{h.claim}); err != nil { // the next one may
			s.cfg.Logger.Debug("bellwether: claim not confirmed", "id", r.id, "err", unquoted(err))
		}
	}
	return r, err
}

// lookup reads the entries of a rule.
func (s *Store) lookup(ctx context.Context, rule []claim) ([]hint, error) {
	if rule[0].kind == kindUser {
		return s.lookupUser(ctx, rule[0])
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.StringCmd, len(rule))
	for i, c := range rule {
		cmds[i] = pipe.Get(ctx, s.key(c.entry))
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	var hints []hint
	for i, c := range rule {
		if id, _, pending, ok := parseEntry(cmds[i].Val()); ok {
			if c.kind == kindAccess {
				c.life = unknownLife
			}
			hints = append(hints, hint{claim: c, id: id, pending: pending})
		}
	}
	return hints, nil
}

// lookupUser reads the members of a user name that agree with the narrowing.
func (s *Store) lookupUser(ctx context.Context, c claim) ([]hint, error) {
	members, err := s.client.ZRangeWithScores(ctx, s.key(c.entry), 0, -1).Result()
	if err != nil {
		return nil, err
	}
	var hints []hint
	for _, z := range members {
		m, ok := z.Member.(string)
		if !ok || len(m) <= narrowingSize || !narrowed(m[:narrowingSize], c.member[:narrowingSize]) {
			continue
		}
		h := hint{claim: c, id: m[narrowingSize:], pending: z.Score > 0}
		h.member = m
		hints = append(hints, h)
	}
	return hints, nil
}

// parseEntry reads the entry of a token: "p <since ms> <id>" or "c <gen> <id>".
func parseEntry(v string) (id string, num int64, pending, ok bool) {
	word, rest, _ := strings.Cut(v, " ")
	n, id, found := strings.Cut(rest, " ")
	num, err := strconv.ParseInt(n, 10, 64)
	return id, num, word == "p", found && err == nil && id != "" && (word == "p" || word == "c")
}
