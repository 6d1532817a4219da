package redisstore

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/bellwether-go/bellwether"
)

// Tags of the sealed fields; see docs/adr/0001. A tag is never given another
// meaning.
const (
	atToken, atType, atAPIDomain, atIssued, atExtra             = 1, 2, 3, 4, 5
	crRefresh, crGrant, crExpires, crAPIDomain, crScope, crType = 1, 2, 3, 4, 5, 6
	secSecret, secClient, secAccounts, secUser, secRedirect     = 1, 2, 3, 4, 5
	secExtra, secCreated                                        = 6, 7
	// ov has the tags of cr and these: the names of cleared fields as their tags; an
	// extra of an answer that a save has changed.
	ovCleared, ovExtra = 7, 8
)

// The values of the field st.
const (
	stActive    = "a"
	stPending   = "p"
	stTombstone = "x"
	stRevoking  = "r"
	stReauth    = "u:" // followed by the reason
)

// credentials is the content of at and cr: what a refresh may change.
type credentials struct {
	access    bellwether.Secret
	issued    time.Time
	expires   time.Time
	tokenType string // as the provider gave it
	apiDomain string
	extra     map[string]bellwether.Secret

	refresh        bellwether.Secret
	grant          bellwether.Secret
	refreshExpires time.Time
	scopes         []string
	crType         string // of cr; they show when there is no access token
	crDomain       string
}

// given is the content of sec and ov: what an operator gave.
type given struct {
	secret   bellwether.Secret
	client   string
	accounts string
	user     string
	redirect string
	extra    map[string]bellwether.Secret
	created  time.Time
	over     overrides
}

// aad binds a sealed field to its row, so that nobody who can write to Redis can
// move it elsewhere. The access token is bound to its end as well.
func (s *Store) aad(id, field string, more ...string) []byte {
	b := make([]byte, 0, 96)
	for _, parts := range [][]string{{s.cfg.Namespace, id, field}, more} {
		for _, p := range parts {
			b = binary.AppendUvarint(b, uint64(len(p)))
			b = append(b, p...)
		}
	}
	return b
}

func (s *Store) seal(e encoder, aad []byte) (string, error) {
	if len(e) == 0 {
		return "", nil
	}
	b, err := s.cfg.Sealer.Seal(e, aad)
	if err != nil {
		return "", &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: "seal", Err: err}
	}
	return string(b), nil
}

func (s *Store) open(id, sealed string, aad []byte, f func(tag byte, v []byte) error) error {
	if sealed == "" {
		return nil
	}
	b, err := s.cfg.Sealer.Open([]byte(sealed), aad)
	if err == nil {
		err = decode(b, f)
	}
	if err == nil {
		return nil
	}
	// What the sealer says of its keys becomes the row's own error.
	if e, ok := errors.AsType[*bellwether.Error](err); ok && e.Kind == bellwether.ErrUnreadable {
		return &bellwether.Error{Kind: bellwether.ErrUnreadable, Op: "read", ID: id, Detail: e.Detail, Hint: e.Hint, Err: e.Err}
	}
	hint := "if a replica seals with a newer key, give this one the same keyset; otherwise the row is damaged"
	if errors.Is(err, errCodec) {
		hint = "the row was written by something else, or damaged; delete it and save the token again"
	}
	return &bellwether.Error{Kind: bellwether.ErrUnreadable, Op: "read", ID: id, Hint: hint, Err: err}
}

func (s *Store) sealAt(id, cred string, c credentials) (string, error) {
	if c.access.IsZero() {
		return "", nil
	}
	var e encoder
	e.secret(atToken, c.access)
	e.bytes(atType, c.tokenType)
	e.bytes(atAPIDomain, c.apiDomain)
	e.time(atIssued, c.issued)
	e.extra(atExtra, c.extra)
	return s.seal(e, s.aad(id, "at", cred, formatMillis(c.expires)))
}

func (s *Store) openAt(id, cred, exp, sealed string, c *credentials) error {
	c.expires = parseMillis(exp)
	return s.open(id, sealed, s.aad(id, "at", cred, formatMillis(c.expires)), func(tag byte, v []byte) error {
		switch tag {
		case atToken:
			c.access = bellwether.NewSecret(string(v))
		case atType:
			c.tokenType = string(v)
		case atAPIDomain:
			c.apiDomain = string(v)
		case atIssued:
			return decodeMillis(&c.issued, v)
		case atExtra:
			return decodeExtra(&c.extra, v)
		}
		return nil
	})
}

func (s *Store) sealCr(id string, c credentials) (string, error) {
	var e encoder
	e.secret(crRefresh, c.refresh)
	e.secret(crGrant, c.grant)
	e.time(crExpires, c.refreshExpires)
	e.bytes(crAPIDomain, c.apiDomain)
	e.list(crScope, c.scopes)
	e.bytes(crType, c.tokenType)
	return s.seal(e, s.aad(id, "cr"))
}

// openCr leaves what at has given before: at is the newer of the two or as old, and
// where it is, its blanks count.
func (s *Store) openCr(id, sealed string, c *credentials) error {
	return s.open(id, sealed, s.aad(id, "cr"), func(tag byte, v []byte) error {
		switch tag {
		case crRefresh:
			c.refresh = bellwether.NewSecret(string(v))
		case crGrant:
			c.grant = bellwether.NewSecret(string(v))
		case crExpires:
			return decodeMillis(&c.refreshExpires, v)
		case crAPIDomain:
			c.crDomain = string(v)
			if c.access.IsZero() {
				c.apiDomain = c.crDomain
			}
		case crScope:
			c.scopes = append(c.scopes, string(v))
		case crType:
			c.crType = string(v)
			if c.access.IsZero() {
				c.tokenType = c.crType
			}
		}
		return nil
	})
}

// sealSec binds the provider's name, which stands in clear in pn.
func (s *Store) sealSec(id, provider string, g given) (string, error) {
	var e encoder
	e.secret(secSecret, g.secret)
	e.bytes(secClient, g.client)
	e.bytes(secAccounts, g.accounts)
	e.bytes(secUser, g.user)
	e.bytes(secRedirect, g.redirect)
	e.extra(secExtra, g.extra)
	e.time(secCreated, g.created)
	return s.seal(e, s.aad(id, "sec", provider))
}

func (s *Store) openSec(id, provider, sealed string, g *given) error {
	return s.open(id, sealed, s.aad(id, "sec", provider), func(tag byte, v []byte) error {
		switch tag {
		case secSecret:
			g.secret = bellwether.NewSecret(string(v))
		case secClient:
			g.client = string(v)
		case secAccounts:
			g.accounts = string(v)
		case secUser:
			g.user = string(v)
		case secRedirect:
			g.redirect = string(v)
		case secExtra:
			return decodeExtra(&g.extra, v)
		case secCreated:
			return decodeMillis(&g.created, v)
		}
		return nil
	})
}

// row is one hash, opened. Readers of the store see only its token.
type row struct {
	id         string
	gen        int64
	cred       string
	exp        string
	st         string
	provider   string
	client     string // cm
	mr, mg, ma string
	pf, pr, pa string // rings of superseded MACs
	xf, xr, xu string // what the index holds of this row; see entries
	fl, cd     string
	ut         string
	ix         string // nonce of the commit that brought the refresh token, until that is in the index
	credentials
	given
}

// rowFields are the fields that a full read takes, in the order of newRow.
var rowFields = []string{"gen", "cred", "exp", "st", "pn", "cm", "mr", "mg", "ma", "pf", "pr", "pa",
	"fl", "cd", "ut", "xf", "xr", "xu", "at", "cr", "sec", "ov", "ix"}

// live reports whether the row is visible: neither missing nor deleted nor an insert
// under way.
func (r *row) live() bool { return r.st != "" && r.st != stTombstone && r.st != stPending }

// newRow opens what HMGET rowFields brought. A missing row has no state; of one that
// is not live nothing sealed is opened. With an error of the kind ErrUnreadable the
// clear fields are there all the same.
func (s *Store) newRow(id string, v []string) (*row, error) {
	r := &row{id: id, cred: v[1], exp: v[2], st: v[3], provider: v[4], client: v[5],
		mr: v[6], mg: v[7], ma: v[8], pf: v[9], pr: v[10], pa: v[11], fl: v[12], cd: v[13], ut: v[14],
		xf: v[15], xr: v[16], xu: v[17], ix: v[22]}
	at, cr, sec, ov := v[18], v[19], v[20], v[21]
	if strings.Join(v, "") == "" {
		return r, nil
	}
	damaged := func(detail string) error {
		return &bellwether.Error{Kind: bellwether.ErrUnreadable, Op: "read", ID: id, Detail: detail,
			Hint: "the row was truncated or written by something else; delete it and save the token again"}
	}
	var err error
	if r.gen, err = strconv.ParseInt(v[0], 10, 64); err != nil || r.gen < 1 || r.st == "" {
		r.st = cmp.Or(r.st, stActive) // it stands in the way of an insert
		return r, damaged("fields are missing")
	}
	if !r.live() {
		return r, nil
	}
	if sec == "" || r.cred == "" {
		return r, damaged("fields are missing")
	}
	for _, err := range []error{
		s.openAt(id, r.cred, r.exp, at, &r.credentials),
		s.openCr(id, cr, &r.credentials),
		s.openSec(id, r.provider, sec, &r.given),
		s.openOv(id, ov, &r.given.over),
	} {
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// token is the row as the outside sees it.
func (r *row) token() bellwether.Token {
	c := r.credentials
	r.over.apply(&c)
	t := bellwether.Token{
		ID: r.id, Provider: r.provider, AccountsURL: r.accounts, UserName: r.user,
		ClientID: r.given.client, ClientSecret: r.secret, RedirectURL: r.redirect,
		GrantToken: c.grant, RefreshToken: c.refresh, AccessToken: c.access,
		TokenType: c.tokenType, Scopes: c.scopes, APIDomain: c.apiDomain,
		IssuedAt: c.issued, ExpiresAt: c.expires, RefreshExpiresAt: c.refreshExpires,
		CreatedAt: r.created, UpdatedAt: parseMillis(r.ut), Generation: r.gen,
	}
	if len(r.given.extra)+len(c.extra) > 0 {
		t.Extra = make(map[string]bellwether.Secret)
		maps.Copy(t.Extra, r.given.extra)
		maps.Copy(t.Extra, c.extra)
	}
	if len(t.Extra) == 0 {
		t.Extra = nil
	}
	t.State, t.Failure = parseState(r.st, r.fl, r.cd)
	return t
}

// parseState reads st, fl ("class|code|count|at") and cd.
func parseState(st, fl, cd string) (bellwether.State, *bellwether.Failure) {
	state := bellwether.StateActive
	var f *bellwether.Failure
	if p := strings.SplitN(fl, "|", 4); len(p) == 4 {
		n, _ := strconv.Atoi(p[2])
		f = &bellwether.Failure{Class: bellwether.Class(p[0]), Code: p[1], Count: n, At: parseMillis(p[3]), Until: parseMillis(cd)}
	}
	switch {
	case st == stRevoking:
		state = bellwether.StateRevoking
	case strings.HasPrefix(st, stReauth):
		state = bellwether.StateReauthRequired
		if f == nil {
			f = new(bellwether.Failure)
		}
		f.Reason = bellwether.Reason(strings.TrimPrefix(st, stReauth))
	}
	return state, f
}

// texts turns the reply of HMGET, or of a script, into strings; nil becomes "".
func texts(reply []any) []string {
	out := make([]string, len(reply))
	for i, v := range reply {
		switch v := v.(type) {
		case nil:
		case string:
			out[i] = v
		default:
			out[i] = fmt.Sprint(v)
		}
	}
	return out
}
