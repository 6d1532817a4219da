package redisstore

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/lock"
)

var peekFields = []string{"gen", "cred", "exp", "st", "pn", "cm", "in", "fl", "cd", "at", "ov"}

// peekCommand is the command of a Peek but for the key. It is made once: HMGet would
// allocate for each field of each read.
var peekCommand = func() []any {
	args := []any{"hmget", nil}
	for _, f := range peekFields {
		args = append(args, f)
	}
	return args
}()

func (s *Store) peek(ctx context.Context, id string) *redis.SliceCmd {
	args := slices.Clone(peekCommand)
	args[1] = s.keys.row(id)
	return redis.NewSliceCmd(ctx, args...)
}

// Peek implements refresh.Backend.
func (s *Store) Peek(ctx context.Context, id, client string) (bellwether.Snapshot, error) {
	var v []string
	var clientCooldown string
	if client == "" {
		row := s.peek(ctx, id)
		if err := s.client.Process(ctx, row); err != nil {
			return bellwether.Snapshot{}, fault(ctx, "read", id, err)
		}
		v = texts(row.Val())
	} else {
		pipe := s.client.Pipeline()
		row := s.peek(ctx, id)
		_ = pipe.Process(ctx, row)
		cd := pipe.Get(ctx, s.keys.cooldown(client))
		_, _ = pipe.Exec(ctx)
		if err := row.Err(); err != nil {
			return bellwether.Snapshot{}, fault(ctx, "read", id, err)
		}
		v, clientCooldown = texts(row.Val()), cd.Val() // in another slot: without it one call too many
	}
	if v[0] == "" || v[3] == stTombstone || v[3] == stPending {
		return bellwether.Snapshot{}, &bellwether.Error{Kind: bellwether.ErrNotFound, Op: "read", ID: id}
	}
	gen, err := strconv.ParseInt(v[0], 10, 64)
	if err != nil || v[3] == "" {
		return bellwether.Snapshot{}, &bellwether.Error{Kind: bellwether.ErrUnreadable, Op: "read", ID: id,
			Detail: "fields are missing", Hint: "the row was truncated; delete it and save the token again"}
	}
	var c credentials
	if err := s.openAt(id, v[1], v[2], v[9], &c); err != nil {
		return bellwether.Snapshot{}, err
	}
	if v[10] != "" {
		var o overrides
		if err := s.openOv(id, v[10], &o); err != nil {
			return bellwether.Snapshot{}, err
		}
		o.apply(&c)
	}
	snap := bellwether.Snapshot{
		ID: id, Provider: v[4], Generation: gen, Cred: v[1], Client: v[5], Intent: v[6] != "",
		AccessToken: c.access, TokenType: c.tokenType, APIDomain: c.apiDomain,
		IssuedAt: c.issued, ExpiresAt: c.expires, Extra: c.extra,
	}
	snap.State, snap.Failure = parseState(v[3], v[7], v[8])
	if f := snap.Failure; f != nil && !f.Until.IsZero() {
		snap.Cooldown = bellwether.Cooldown{Until: f.Until, Class: f.Class, Code: f.Code}
	}
	if p := strings.SplitN(clientCooldown, "|", 3); len(p) == 3 {
		if until := parseMillis(p[0]); until.After(snap.Cooldown.Until) {
			snap.Cooldown = bellwether.Cooldown{Until: until, Class: bellwether.Class(p[1]), Code: p[2], Client: true}
		}
	}
	return snap, nil
}

// Lock implements refresh.Backend.
func (s *Store) Lock(ctx context.Context, id, nonce string, ttl, maxHold time.Duration) (bellwether.Lease, error) {
	l, err := lock.Obtain(ctx, s.client, s.keys.lock(id), nonce, lock.Options{TTL: ttl, MaxHold: maxHold})
	if err != nil {
		if held := (*bellwether.LockedError)(nil); errors.As(err, &held) {
			return nil, held
		}
		return nil, fault(ctx, "lock", id, err)
	}
	return l, nil
}

// word is how a rotation is told to the scripts.
func word(r bellwether.Rotation) string {
	switch r {
	case bellwether.RotationReusable:
		return "r"
	case bellwether.RotationGrace:
		return "g"
	case bellwether.RotationUntilSuccessorUsed:
		return "u"
	default:
		return "s"
	}
}

// kindWord is how the kind of an attempt is told to the scripts. One without a kind
// yields as easily as can be.
func kindWord(k bellwether.AttemptKind) string {
	switch k {
	case bellwether.AttemptForced:
		return "f"
	case bellwether.AttemptMandatory:
		return "m"
	default:
		return "b"
	}
}

// Begin implements refresh.Backend.
func (s *Store) Begin(ctx context.Context, a bellwether.Attempt) (bellwether.BeginAnswer, error) {
	args := []any{a.Nonce, a.Expected, a.MinGeneration, kindWord(a.Kind),
		a.ForcedInterval.Milliseconds(), a.Budget.Milliseconds(), word(a.Rotation), s.keys.channel(), a.ID}
	for _, q := range a.Quotas {
		args = append(args, q.N, q.Per.Milliseconds())
	}
	asked := time.Now()
	v, err := s.run(ctx, s.scripts.begin, []string{s.keys.row(a.ID), s.keys.lock(a.ID)}, args...)
	if err != nil {
		return bellwether.BeginAnswer{}, fault(ctx, "begin", a.ID, err)
	}
	ans := bellwether.BeginAnswer{Word: bellwether.BeginWord(v[0]), Now: parseMillis(v[1])}
	s.clock.sample(asked, ans.Now)
	ans.Generation, _ = strconv.ParseInt(v[2], 10, 64)
	switch ans.Word {
	case bellwether.BeginGo:
		ans.Until, ans.Doubt = parseMillis(v[3]), v[4] == "1"
		if err := s.beginRow(a.ID, v, &ans); err != nil {
			return bellwether.BeginAnswer{}, err
		}
		s.presented.put(a.Nonce, s.refreshDigest(ans.Token.RefreshToken))
	case bellwether.BeginState:
		var f *bellwether.Failure
		ans.State, f = parseState(v[3], v[4], "")
		if f != nil {
			ans.Reason, ans.Class, ans.Code = f.Reason, f.Class, f.Code
		}
	case bellwether.BeginDenied:
		ans.Until, ans.Why = parseMillis(v[3]), bellwether.Denial(v[4])
		if _, f := parseState(stActive, v[5], v[3]); f != nil {
			ans.Class, ans.Code = f.Class, f.Code
		}
	case bellwether.BeginRecover:
		ans.Until = parseMillis(v[3])
	}
	return ans, nil
}

// beginRow opens the row that go brings.
func (s *Store) beginRow(id string, v []string, ans *bellwether.BeginAnswer) error {
	r := &row{id: id, gen: ans.Generation, exp: v[5], cred: v[6], st: v[7], provider: v[8], fl: v[13], cd: v[14], ut: v[15]}
	for _, err := range []error{
		s.openAt(id, r.cred, r.exp, v[9], &r.credentials),
		s.openCr(id, v[10], &r.credentials),
		s.openSec(id, r.provider, v[11], &r.given),
		s.openOv(id, v[12], &r.given.over),
	} {
		if err != nil {
			return err
		}
	}
	ans.Token, ans.Extra, ans.Corrected = r.token(), r.credentials.extra, v[12] != ""
	if ans.Token.Failure != nil {
		ans.Failures = ans.Token.Failure.Count
	}
	return nil
}

// Commit implements refresh.Backend.
func (s *Store) Commit(ctx context.Context, c bellwether.Commit) (bellwether.CommitAnswer, error) {
	a, t := c.Attempt, c.Token
	cr := credentials{access: t.AccessToken, issued: t.IssuedAt, expires: t.ExpiresAt, tokenType: t.TokenType,
		apiDomain: t.APIDomain, extra: c.Extra, refresh: t.RefreshToken, grant: t.GrantToken,
		refreshExpires: t.RefreshExpiresAt, scopes: t.Scopes}
	at, err := s.sealAt(a.ID, a.Nonce, cr)
	if err != nil {
		return bellwether.CommitAnswer{}, err
	}
	sealed, err := s.sealCr(a.ID, cr)
	if err != nil {
		return bellwether.CommitAnswer{}, err
	}
	var spare string
	if !t.RefreshToken.IsZero() {
		var e encoder
		e.secret(crRefresh, t.RefreshToken)
		if spare, err = s.seal(e, s.aad(a.ID, "sp")); err != nil {
			return bellwether.CommitAnswer{}, err
		}
	}
	claimed := s.claimRotated(ctx, a, t)
	asked := time.Now()
	v, err := s.run(ctx, s.scripts.commit, []string{s.keys.row(a.ID), s.keys.lock(a.ID), s.keys.due(a.ID)},
		a.Nonce, a.Expected, at, formatMillis(t.ExpiresAt), sealed,
		s.keys.mac("rt", t.RefreshToken), s.keys.mac("gt", t.GrantToken), s.keys.mac("at", t.AccessToken),
		formatMillis(t.ExpiresAt), s.keys.channel(), a.ID, spare, s.refreshDigest(t.RefreshToken), flag(c.Doubt))
	if err != nil {
		return bellwether.CommitAnswer{}, fault(ctx, "commit", a.ID, err)
	}
	s.clock.sample(asked, parseMillis(v[1]))
	ans := bellwether.CommitAnswer{Word: bellwether.CommitWord(v[0])}
	ans.Generation, _ = strconv.ParseInt(v[2], 10, 64)
	claimed(ans, v[3])
	return ans, nil
}

// flag is how a bool is told to the scripts.
func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// Fail implements refresh.Backend.
func (s *Store) Fail(ctx context.Context, f bellwether.Fail) (bellwether.FailAnswer, error) {
	a, cooldown := f.Attempt, f.Cooldown
	s.presented.take(a.Nonce)
	// Before fail, whose event wakes those who wait: they must find it.
	if f.ClientCooldown > 0 && f.Client != "" && !s.coolClient(ctx, f) {
		cooldown = max(cooldown, f.ClientCooldown) // this row at least
	}
	asked := time.Now()
	v, err := s.run(ctx, s.scripts.fail, []string{s.keys.row(a.ID), s.keys.lock(a.ID)},
		a.Nonce, a.Expected, string(f.Outcome), flag(f.Sent), flag(f.Lost), string(f.Class), printable(f.Code),
		cooldown.Milliseconds(), word(a.Rotation), s.keys.channel(), a.ID)
	if err != nil {
		return bellwether.FailAnswer{}, fault(ctx, "fail", a.ID, err)
	}
	s.clock.sample(asked, parseMillis(v[1]))
	ans := bellwether.FailAnswer{Applied: v[0] == "1", Until: parseMillis(v[3])}
	var fl *bellwether.Failure
	ans.State, fl = parseState(v[2], "", "")
	if fl != nil {
		ans.Reason = fl.Reason
	}
	return ans, nil
}

// coolTime bounds the write of a client's cooldown: it lies in another slot, and fail
// must not wait long for that.
const coolTime = time.Second

// coolClient reports whether it could write the client's cooldown.
func (s *Store) coolClient(ctx context.Context, f bellwether.Fail) bool {
	ctx, cancel := context.WithTimeout(ctx, coolTime)
	defer cancel()
	_, err := s.run(ctx, s.scripts.cooldown, []string{s.keys.cooldown(f.Client)},
		f.ClientCooldown.Milliseconds(), string(f.Class), printable(f.Code))
	if err != nil {
		s.cfg.Logger.Debug("bellwether: client cooldown not written", "err", unquoted(err))
	}
	return err == nil
}

// MarkRevoking implements refresh.Backend.
func (s *Store) MarkRevoking(ctx context.Context, id string) error {
	v, err := s.run(ctx, s.scripts.revoking, []string{s.keys.row(id)}, s.keys.channel(), id)
	if err != nil {
		return fault(ctx, "revoke", id, err)
	}
	if v[0] == "gone" {
		return &bellwether.Error{Kind: bellwether.ErrNotFound, Op: "revoke", ID: id}
	}
	return nil
}

// printable keeps a provider's error code out of the way of the packed fields.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '|' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 64)]
}
