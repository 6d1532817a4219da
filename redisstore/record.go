package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellwether-go/bellwether"
)

// What a tier behind Redis keeps of a row is a bellwether.Record. Its token is what an
// operator sees; its notes are the rest: what a refresh must know that no token tells.

// Tags of the notes. A tag is never given another meaning.
const (
	noteIndex, noteFirst, noteLast, noteAccess = 1, 2, 3, 4
	noteOver, noteSpare, noteIntent            = 5, 6, 7
	noteDoubt, noteFound, noteExtra            = 8, 9, 10
	noteRefresh, noteGrant                     = 11, 12
	noteLineage, noteCommits                   = 13, 14
)

// notes is the content of bellwether.Record.Notes.
type notes struct {
	index      string // fingerprint of the index key that the MACs were made with
	mr, mg     string // of the credentials that cred speaks of
	pf, pr, pa string
	ov, sp     string // sealed
	in, db, fd string
	ln, lc     string   // the cred that the lineage began with, and the commits since
	extra      []string // the keys of Extra that answers brought
}

// encode leaves out, of notes that would be too long, what is least missed: the spare, and
// then the overrides, whose effect shows in the token.
func (n notes) encode() []byte {
	e := n.encodeAll()
	for _, field := range []*string{&n.sp, &n.ov} {
		if len(e) <= bellwether.MaxNotesLen {
			break
		}
		*field = ""
		e = n.encodeAll()
	}
	return e
}

func (n notes) encodeAll() []byte {
	var e encoder
	for _, f := range []struct {
		tag   byte
		value string
	}{
		{noteIndex, n.index}, {noteFirst, n.pf}, {noteLast, n.pr}, {noteAccess, n.pa}, {noteOver, n.ov},
		{noteSpare, n.sp}, {noteIntent, n.in}, {noteDoubt, n.db}, {noteFound, n.fd}, {noteRefresh, n.mr}, {noteGrant, n.mg},
		{noteLineage, n.ln}, {noteCommits, n.lc},
	} {
		e.bytes(f.tag, f.value)
	}
	e.list(noteExtra, n.extra)
	return e
}

func (s *Store) decodeNotes(id string, b []byte) (notes, error) {
	var n notes
	err := decode(b, func(tag byte, v []byte) error {
		switch tag {
		case noteIndex:
			n.index = string(v)
		case noteFirst:
			n.pf = string(v)
		case noteLast:
			n.pr = string(v)
		case noteAccess:
			n.pa = string(v)
		case noteOver:
			n.ov = string(v)
		case noteSpare:
			n.sp = string(v)
		case noteIntent:
			n.in = string(v)
		case noteDoubt:
			n.db = string(v)
		case noteFound:
			n.fd = string(v)
		case noteRefresh:
			n.mr = string(v)
		case noteGrant:
			n.mg = string(v)
		case noteLineage:
			n.ln = string(v)
		case noteCommits:
			n.lc = string(v)
		case noteExtra:
			n.extra = append(n.extra, string(v))
		}
		return nil
	})
	if err != nil {
		return n, &bellwether.Error{Kind: bellwether.ErrUnreadable, Op: "read notes", ID: id, Err: err,
			Hint: "the durable row was damaged; save the token again"}
	}
	if n.index != s.cfg.Sealer.Fingerprint() { // MACs of another key say nothing
		n.pf, n.pr, n.pa, n.mr, n.mg = "", "", "", "", ""
	}
	return n, nil
}

// recordFields are what a Record needs beside rowFields, in the order of newRecord.
var recordFields = []string{"prev", "in", "db", "fd", "sp", "ov", "ln", "lc"}

// A kept row is a row with the notes and the prev of its record.
type keptRow struct {
	*row
	prev string
	notes
}

func (s *Store) readKept(ctx context.Context, id string) (keptRow, error) {
	reply, err := s.client.HMGet(ctx, s.keys.row(id), slices.Concat(rowFields, recordFields)...).Result()
	if err != nil {
		return keptRow{}, err
	}
	v := texts(reply)
	r, err := s.newRow(id, v[:len(rowFields)])
	if err != nil {
		return keptRow{row: r}, err
	}
	more := v[len(rowFields):]
	k := keptRow{row: r, prev: more[0], notes: notes{index: s.cfg.Sealer.Fingerprint(), mr: r.mr, mg: r.mg, pf: r.pf, pr: r.pr, pa: r.pa,
		in: more[1], db: more[2], fd: more[3], sp: more[4], ov: more[5], ln: more[6], lc: more[7]}}
	if !r.credentials.access.IsZero() {
		k.notes.extra = slices.Sorted(maps.Keys(r.credentials.extra))
	}
	return k, nil
}

// Record returns the row id as a durable tier keeps it, or ErrNotFound. Its Version is
// for Install.
func (s *Store) Record(ctx context.Context, id string) (bellwether.Record, error) {
	if err := ended(ctx, "read", id); err != nil {
		return bellwether.Record{}, err
	}
	k, err := s.readKept(ctx, id)
	if err != nil {
		return bellwether.Record{}, fault(ctx, "read", id, err)
	}
	if !k.live() {
		return bellwether.Record{}, &bellwether.Error{Kind: bellwether.ErrNotFound, Op: "read", ID: id}
	}
	return bellwether.Record{Token: k.token(), Cred: k.cred, Prev: k.prev, Notes: k.notes.encode(), Version: versionOf(k.row)}, nil
}

func versionOf(r *row) string { return strconv.FormatInt(r.gen, 10) + " " + r.cred }

// stride is by how much the generation of an installed row exceeds that of the record:
// more visible writes than Redis can have taken since, without the durable tier having
// seen one. A replica that has seen the lost generations must not take the row for older
// than those.
const stride = 1 << 10

// Install writes a record of a durable tier, one that Record has returned, over the row of
// the version expected; blank: there is no row. Another version, or a row in the place of
// none, is ErrConflict. A deleted row stays deleted for Config.Tombstone: ErrNotFound.
// The refresh token and the user name are claimed as by Save, and the generation is the
// record's at least. Of a record that is Adopted only the token counts where there is a row;
// where there is none, another refresh or grant token than its notes know is a new lineage:
// the row gets a cred of its own, and nothing that an earlier refresh left behind. One that
// its notes know as superseded is no sign-in: the row then needs one, ReasonRotationLost.
func (s *Store) Install(ctx context.Context, expected string, rec bellwether.Record) error {
	id := rec.Token.ID
	if err := ended(ctx, "install", id); err != nil {
		return err
	}
	done, err := s.turns.Take(ctx, s.keys.row(id))
	if err != nil {
		return &bellwether.Error{Op: "install", ID: id, Err: err}
	}
	defer done()
	linger, cancel := lingering(ctx)
	defer cancel()
	sv := &saving{Store: s, given: rec.Token, nonce: rand.Text(), insertID: id}
	for try := 0; ; try++ {
		err := sv.install(ctx, linger, expected, rec)
		if !errors.Is(err, errAgain) {
			return fault(ctx, "install", id, err)
		}
		if err := pause(ctx, try); err != nil {
			return &bellwether.Error{Op: "install", ID: id, Err: err}
		}
	}
}

func (sv *saving) install(ctx, linger context.Context, expected string, rec bellwether.Record) error {
	if err := sv.soundClock(ctx); err != nil {
		return err
	}
	r, err := sv.target(ctx)
	if err != nil {
		return err
	}
	version := ""
	if r.live() {
		version = versionOf(r)
	}
	switch {
	case r.st == stTombstone:
		return &bellwether.Error{Kind: bellwether.ErrNotFound, Op: "install", ID: r.id, Detail: "the row was deleted"}
	case version != expected:
		return conflictf(r.id, "look at the row and decide again", "the row has another version")
	}
	d, err := sv.composeRecord(r, rec)
	if err != nil {
		return err
	}
	d.least = max(d.least, rec.Token.Generation)
	_, err = sv.write(ctx, linger, r, d)
	return err
}

// composeRecord makes the draft that writes a record over r: all of it, unless others have
// written its token and know nothing of the rest. To r that is a Save which replaces.
func (s *Store) composeRecord(r *row, rec bellwether.Record) (*draft, error) {
	t := rec.Token
	if rec.Adopted && (r.live() || rec.Cred == "") {
		t.Generation = 0
		if r.live() {
			t.Generation = r.gen
		}
		return s.compose(r, t)
	}
	n, err := s.decodeNotes(t.ID, rec.Notes)
	if err != nil && !rec.Adopted {
		return nil, err
	}
	if err != nil {
		n = notes{} // its token counts
	}
	if rec.Cred == "" {
		return nil, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "install", ID: t.ID, Detail: "the record has no cred", Hint: "save its token"}
	}
	c := credentials{access: t.AccessToken, issued: t.IssuedAt, expires: t.ExpiresAt, tokenType: t.TokenType,
		apiDomain: t.APIDomain, refresh: t.RefreshToken, grant: t.GrantToken, refreshExpires: t.RefreshExpiresAt, scopes: t.Scopes}
	g := given{secret: t.ClientSecret, client: t.ClientID, accounts: t.AccountsURL, user: t.UserName,
		redirect: t.RedirectURL, created: t.CreatedAt, extra: maps.Clone(t.Extra)}
	for _, k := range n.extra {
		if v, ok := g.extra[k]; ok && !c.access.IsZero() {
			if c.extra == nil {
				c.extra = make(map[string]bellwether.Secret)
			}
			c.extra[k] = v
			delete(g.extra, k)
		}
	}
	mr, mg := s.keys.mac("rt", t.RefreshToken), s.keys.mac("gt", t.GrantToken)
	switch changed := mr != n.mr && mr != "" || mg != n.mg && mg != ""; {
	case !rec.Adopted || !changed:
	case mr != n.mr && inRing(n.pf+n.pr, mr):
		t.State, t.Failure = bellwether.StateReauthRequired, &bellwether.Failure{Reason: bellwether.ReasonRotationLost}
	default:
		rec.Cred, rec.Prev = rand.Text(), ""
		for _, c := range []struct{ was, is string }{{n.mr, mr}, {n.mg, mg}} {
			if c.was != c.is {
				n.pr, n.pf = push(n.pr, c.was, keepLast), push(n.pf, c.is, keepFirst)
			}
		}
		n.ov, n.sp, n.in, n.db, n.fd = "", "", "", "", ""
		n.ln, n.lc = rec.Cred, ""
	}
	if n.ov != "" && s.openOv(t.ID, n.ov, new(overrides)) != nil {
		n.ov = "" // of another namespace or keyset; what it changed shows in the token
	}
	d := &draft{next: t, least: t.Generation + stride, set: map[string]string{
		"cred": rec.Cred, "prev": rec.Prev, "exp": formatMillis(t.ExpiresAt),
		"mr": mr, "mg": mg, "ma": s.keys.mac("at", t.AccessToken),
		"pf": n.pf, "pr": n.pr, "pa": n.pa, "ov": n.ov, "sp": n.sp, "in": n.in, "db": n.db, "fd": n.fd, "ln": n.ln, "lc": n.lc,
		"pn": t.Provider, "cm": s.keys.client(t), "ix": "",
	}}
	d.set["st"], d.set["fl"], d.set["cd"] = formatState(t.State, t.Failure)
	if d.set["at"], err = s.sealAt(t.ID, rec.Cred, c); err != nil {
		return nil, err
	}
	if d.set["cr"], err = s.sealCr(t.ID, c); err != nil {
		return nil, err
	}
	if d.set["sec"], err = s.sealSec(t.ID, t.Provider, g); err != nil {
		return nil, err
	}
	s.composeIndex(d, r, t, false)
	return d, nil
}

// formatState is the inverse of parseState.
func formatState(state bellwether.State, f *bellwether.Failure) (st, fl, cd string) {
	st = stActive
	if f != nil {
		if f.Class != "" {
			fl = strings.Join([]string{string(f.Class), printable(f.Code), strconv.Itoa(f.Count), formatMillis(f.At)}, "|")
		}
		if !f.Until.IsZero() {
			cd = formatMillis(f.Until)
		}
	}
	switch state {
	case bellwether.StateRevoking:
		st = stRevoking
	case bellwether.StateReauthRequired:
		reason := bellwether.ReasonRevoked
		if f != nil && f.Reason != "" {
			reason = f.Reason
		}
		st = stReauth + string(reason)
	}
	return st, fl, cd
}

// Committed returns what Commit will make of the row that was before, so that it can be
// kept elsewhere first.
func (s *Store) Committed(before bellwether.Record, c bellwether.Commit) (bellwether.Record, error) {
	n, err := s.decodeNotes(before.Token.ID, before.Notes)
	if err != nil {
		return bellwether.Record{}, err
	}
	was, t := before.Token, before.Token.Clone()
	t.AccessToken, t.TokenType, t.APIDomain = c.Token.AccessToken, c.Token.TokenType, c.Token.APIDomain
	t.IssuedAt, t.ExpiresAt = c.Token.IssuedAt, c.Token.ExpiresAt
	t.RefreshToken, t.GrantToken, t.RefreshExpiresAt = c.Token.RefreshToken, c.Token.GrantToken, c.Token.RefreshExpiresAt
	t.Scopes = c.Token.Scopes
	for _, k := range n.extra {
		delete(t.Extra, k)
	}
	if len(c.Extra) > 0 && t.Extra == nil {
		t.Extra = make(map[string]bellwether.Secret)
	}
	maps.Copy(t.Extra, c.Extra)
	n.extra = slices.Sorted(maps.Keys(c.Extra))
	if n.ov != "" {
		var o overrides
		if err := s.openOv(t.ID, n.ov, &o); err != nil {
			return bellwether.Record{}, err
		}
		shown := credentials{refresh: t.RefreshToken, grant: t.GrantToken, refreshExpires: t.RefreshExpiresAt,
			tokenType: t.TokenType, apiDomain: t.APIDomain, scopes: t.Scopes, extra: t.Extra}
		o.apply(&shown)
		t.GrantToken, t.RefreshExpiresAt, t.TokenType = shown.grant, shown.refreshExpires, shown.tokenType
		t.APIDomain, t.Scopes, t.Extra = shown.apiDomain, shown.scopes, shown.extra
	}
	doubted := n.db == "1" || was.State == bellwether.StateReauthRequired || c.Doubt ||
		n.in != "" && !strings.HasPrefix(n.in, c.Attempt.Nonce+"|")
	n.fd = ""
	if doubted {
		n.fd = "1"
	}
	n.in, n.sp, n.db = "", "", ""
	n.lc = strconv.Itoa(n.commits() + 1)
	n.mr, n.mg = s.keys.mac("rt", t.RefreshToken), s.keys.mac("gt", t.GrantToken)

	supersede := func(ring *string, kind string, was, is bellwether.Secret, most int) {
		if !was.Equal(is) {
			*ring = push(*ring, s.keys.mac(kind, was), most)
		}
	}
	supersede(&n.pr, "rt", was.RefreshToken, t.RefreshToken, keepLast)
	supersede(&n.pr, "gt", was.GrantToken, t.GrantToken, keepLast)
	supersede(&n.pa, "at", was.AccessToken, t.AccessToken, keepAccess)
	if was.RefreshToken.IsZero() {
		n.pf = push(n.pf, s.keys.mac("rt", t.RefreshToken), keepFirst)
	}
	if was.State != bellwether.StateRevoking {
		t.State = bellwether.StateActive
	}
	t.Failure = nil
	t.Generation++
	if now, ok := s.clock.now(); ok {
		t.UpdatedAt = now.Truncate(time.Millisecond)
	}
	return bellwether.Record{Token: t.Canonical(), Cred: c.Attempt.Nonce, Prev: c.Attempt.Expected, Notes: n.encode()}, nil
}

// commits returns how many commits the lineage has had.
func (n notes) commits() int {
	count, _ := strconv.Atoi(n.lc)
	return count
}

// tells reports whether the lineage of the notes is that of t: others may have written
// another sign-in over it.
func (s *Store) tells(n notes, r bellwether.Record) bool {
	return n.ln != "" && (!r.Adopted || s.keys.mac("rt", r.Token.RefreshToken) == n.mr && s.keys.mac("gt", r.Token.GrantToken) == n.mg)
}

// Supersedes reports whether newer, of two records of one row, has gone on from the
// credentials of older: by more commits within the same lineage, or since it has them in
// its past. The past is bounded; the count of commits is not.
func (s *Store) Supersedes(newer, older bellwether.Record) bool {
	n, err := s.decodeNotes(newer.Token.ID, newer.Notes)
	if err != nil {
		return false
	}
	if o, err := s.decodeNotes(older.Token.ID, older.Notes); err == nil && n.ln == o.ln && n.lc != o.lc && s.tells(n, newer) && s.tells(o, older) {
		return n.commits() > o.commits()
	}
	past := func(kind string, is, was bellwether.Secret, ring string) bool {
		return !was.IsZero() && !was.Equal(is) && inRing(ring, s.keys.mac(kind, was))
	}
	now, was := newer.Token, older.Token
	same := now.RefreshToken.Equal(was.RefreshToken)
	return past("rt", now.RefreshToken, was.RefreshToken, n.pf+n.pr) ||
		(same || was.RefreshToken.IsZero()) && past("gt", now.GrantToken, was.GrantToken, n.pf+n.pr) ||
		same && past("at", now.AccessToken, was.AccessToken, n.pa)
}

// Presenter returns the nonce of the attempt that may be presenting the credentials of a
// record, blank when there is none.
func (s *Store) Presenter(rec bellwether.Record) string {
	n, err := s.decodeNotes(rec.Token.ID, rec.Notes)
	if err != nil {
		return ""
	}
	nonce, _, _ := strings.Cut(n.in, "|")
	return nonce
}

// Tokens returns the rows of ids that Redis holds, by ID, in one round trip.
func (s *Store) Tokens(ctx context.Context, ids []string) (map[string]bellwether.Token, error) {
	rows, err := s.readMany(ctx, ids)
	if err != nil {
		return nil, fault(ctx, "list", "", err)
	}
	found := make(map[string]bellwether.Token, len(ids))
	for i, v := range rows {
		r, err := s.newRow(ids[i], v)
		switch {
		case errors.Is(err, bellwether.ErrUnreadable):
		case err != nil:
			return nil, err
		case r.live():
			found[r.id] = r.token()
		}
	}
	return found, nil
}
