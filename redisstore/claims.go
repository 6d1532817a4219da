package redisstore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/bellwether-go/bellwether"
)

// What must belong to one row, a refresh or grant token or a user name, is claimed in
// the index, since the rows of two savers lie in different slots and no script sees
// both. The entry is the claim.
//
// A save claims what the row did not have: first the tokens, then the user name, each
// pending. Then it writes the row, an insert unseen. Then it confirms the claims, and
// an insert becomes visible. Whoever meets another row's claim looks at that row:
//
//   - it carries what is claimed: the row is the owner, and a claim that is still
//     pending is confirmed for it;
//   - it is an unseen insert: after ClaimGrace, or once the claim is confirmed, its
//     insert is completed for it;
//   - it has nothing of the kind: a pending claim is waited for until ClaimGrace has
//     passed, and then replaced; a confirmed one is a remnant and is replaced at once.
//
// Nobody waits while holding a claim: it gives up its own, and starts over.
//
// A saver that was held up must not write a row on claims that others have replaced
// meanwhile: save.lua refuses it after half of ClaimGrace. Each master has its own
// clock there, so that masters may differ by the other half.

// The kinds of index entries.
const (
	kindRefresh = "rt"
	kindGrant   = "gt"
	kindAccess  = "at"
	kindUser    = "user"
)

// An entry is a place in the index.
type entry struct {
	kind   string
	digest string // of the value; names the key
	member string // of a user name: narrowing and ID
}

// A claim is an entry that a row needs.
type claim struct {
	entry
	mac  string // as the row keeps it; blank for a user name
	life time.Duration
}

func (s *Store) key(e entry) string { return s.keys.entry(e.kind, e.digest) }

// carries reports whether the row has, or had, what is claimed.
func (r *row) carries(c claim) bool {
	switch c.kind {
	case kindRefresh:
		return r.mr == c.mac || inRing(r.pf+r.pr, c.mac)
	case kindGrant:
		return r.mg == c.mac || inRing(r.pf+r.pr, c.mac)
	case kindAccess:
		return r.ma == c.mac || inRing(r.pa, c.mac)
	default:
		return len(r.xu) == indexDigestSize+narrowingSize && r.xu[:indexDigestSize] == c.digest &&
			narrowed(r.xu[indexDigestSize:], c.member[:narrowingSize])
	}
}

// narrowed reports whether two narrowings agree; a blank agrees with all.
func narrowed(a, b string) bool {
	for i := 0; i < narrowingSize; i += digestSize {
		x, y := a[i:i+digestSize], b[i:i+digestSize]
		if x != y && x != blankDigest && y != blankDigest {
			return false
		}
	}
	return true
}

// A placed claim is one that the index holds for us.
type placed struct {
	claim
	fresh bool   // nobody else had placed it for our row
	value string // the entry, or the score, as it was placed
	since int64
}

type held struct {
	store  *Store
	placed []placed
}

// An ownedError says that another row has what was claimed.
type ownedError struct{ owner, kind string }

func (e *ownedError) Error() string { return "owned by another row" }

func (e *ownedError) conflict(id string) error {
	if e.kind == kindUser {
		return conflictf(id, "save without an ID to update that row, or narrow by provider, accounts URL and client id",
			"row %q has this user name, provider, data centre and client", e.owner)
	}
	return conflictf(id, "save under that ID, or delete that row first", "row %q owns this refresh or grant token", e.owner)
}

// claim places the claims of a row, in their order. The error is errAgain when another
// saver is at it, an *ownedError when another row has one of them. What is held on an
// error is to be released.
func (s *Store) claim(ctx, linger context.Context, id string, claims []claim) (held, error) {
	h := held{store: s}
	for _, c := range claims {
		var dead rival
		for {
			if err := ctx.Err(); err != nil {
				return h, err
			}
			v, err := s.place(linger, id, c, dead)
			if err != nil {
				return h, err
			}
			if v[0] == "new" || v[0] == "again" {
				p := placed{claim: c, fresh: v[0] == "new", value: v[2]}
				if c.kind == kindUser {
					p.since, _ = strconv.ParseInt(v[2], 10, 64)
				} else {
					_, p.since, _, _ = parseEntry(v[2])
				}
				h.placed = append(h.placed, p)
				break
			}
			if dead, err = s.judge(linger, c, v); err != nil {
				return h, err
			}
		}
	}
	return h, nil
}

// A rival is the entry of another row.
type rival struct {
	id    string
	value string // the entry, or the member
	score string
}

// place runs the claim script once; a dead rival is replaced.
func (s *Store) place(ctx context.Context, id string, c claim, dead rival) ([]string, error) {
	if c.kind == kindUser {
		return s.run(ctx, s.scripts.claimUser, []string{s.key(c.entry)}, c.member, dead.value, dead.score)
	}
	return s.run(ctx, s.scripts.claimToken, []string{s.key(c.entry)}, id, dead.value, c.life.Milliseconds())
}

// judge looks at the row whose claim stands in the way. No error means that the claim
// is dead and may be replaced.
func (s *Store) judge(ctx context.Context, c claim, v []string) (rival, error) {
	now, _ := strconv.ParseInt(v[1], 10, 64)
	var riv rival
	var since int64
	if c.kind == kindUser {
		riv = rival{id: v[3][narrowingSize:], value: v[3], score: v[2]}
		since, _ = strconv.ParseInt(v[2], 10, 64)
	} else {
		riv.id, since, _, _ = parseEntry(v[2])
		riv.value = v[2]
	}
	pending := v[0] == "pending"
	// A claim from the future was made before the clock was set back.
	fresh := pending && (time.Duration(now-since)*time.Millisecond).Abs() < s.cfg.ClaimGrace
	r, err := s.read(ctx, riv.id)
	if err != nil && !errors.Is(err, bellwether.ErrUnreadable) { // what is compared is clear
		return riv, err
	}
	switch {
	case r.live() && r.carries(c):
		if pending {
			if c.kind == kindUser {
				c.member = riv.value
			}
			if _, err := s.confirm(ctx, r.id, r.gen, []claim{c}); err != nil {
				return riv, err
			}
		}
		return riv, &ownedError{owner: r.id, kind: c.kind}
	case fresh:
		return riv, errAgain
	case r.st == stPending:
		if err := s.complete(ctx, r); err != nil {
			return riv, err
		}
		return riv, errAgain
	}
	return riv, nil
}

// deadline is the latest time, in ms, at which a row may be written on these claims.
func (h held) deadline(life time.Duration) int64 {
	var first int64
	for _, p := range h.placed {
		if first == 0 || p.since < first {
			first = p.since
		}
	}
	if first == 0 {
		return 0
	}
	return first + life.Milliseconds()
}

// release gives up the claims that nobody else relies on. What cannot be given up now
// is replaced after ClaimGrace.
func (h held) release(ctx context.Context) {
	var calls []call
	for _, p := range h.placed {
		switch {
		case !p.fresh:
		case p.kind == kindUser:
			calls = append(calls, call{h.store.scripts.dropUser, []string{h.store.key(p.entry)}, []any{p.member, p.value, "0"}})
		default:
			calls = append(calls, call{h.store.scripts.dropToken, []string{h.store.key(p.entry)}, []any{p.value, "", "0"}})
		}
	}
	if _, err := h.store.runAll(ctx, calls, nil); err != nil {
		h.store.cfg.Logger.Debug("bellwether: claims not released", "err", unquoted(err))
	}
}

// confirm confirms the claims of a row. The answer is whether none was lost.
func (s *Store) confirm(ctx context.Context, id string, gen int64, claims []claim) (bool, error) {
	answers, err := s.runAll(ctx, s.confirmations(id, gen, claims), nil)
	for _, v := range answers {
		if v[0] != "ok" {
			return false, err
		}
	}
	return err == nil, err
}

func (s *Store) confirmations(id string, gen int64, claims []claim) []call {
	var calls []call
	for _, c := range claims {
		if c.kind == kindUser {
			calls = append(calls, call{s.scripts.confirmUser, []string{s.key(c.entry)}, []any{c.member, gen}})
		} else {
			calls = append(calls, call{s.scripts.confirmToken, []string{s.key(c.entry)}, []any{id, gen, c.life.Milliseconds()}})
		}
	}
	return calls
}

// complete ends the unseen insert of a saver that may have died: its claims are
// confirmed and it becomes visible, or it is withdrawn when one of them is lost. The
// saver itself does the same and may do so at the same time.
func (s *Store) complete(ctx context.Context, r *row) error {
	switch kept, err := s.confirm(ctx, r.id, r.gen, r.claimed()); {
	case err != nil:
		return err
	case !kept:
		return s.withdraw(ctx, r.id, r.cred)
	}
	_, err := s.run(ctx, s.scripts.activate, []string{s.keys.row(r.id), s.keys.due(r.id)}, r.cred, s.keys.channel(), r.id)
	return err
}

// claimed are the claims on which an unseen insert rests.
func (r *row) claimed() []claim {
	var claims []claim
	for _, f := range []struct {
		kind, mac string
		letter    byte
	}{{kindRefresh, r.mr, 'r'}, {kindGrant, r.mg, 'g'}} {
		if digest := lastFirst(r.xf, f.letter); f.mac != "" && digest != "" {
			claims = append(claims, claim{entry: entry{kind: f.kind, digest: digest}, mac: f.mac})
		}
	}
	if e, ok := r.userEntry(); ok {
		claims = append(claims, claim{entry: e})
	}
	return claims
}

// withdraw removes an unseen insert and its claims.
func (s *Store) withdraw(ctx context.Context, id, cred string) error {
	v, err := s.run(ctx, s.scripts.delete, []string{s.keys.row(id), s.keys.due(id)},
		"withdrawn", s.cfg.Tombstone.Milliseconds(), s.keys.channel(), id, cred, "")
	if err != nil || v[0] != "ok" {
		return err
	}
	_, err = s.runAll(ctx, s.dropAll(id, v), nil)
	return err
}
