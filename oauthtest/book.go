package oauthtest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/bellwether-go/bellwether"
)

// The book holds all grants and tokens. One mutex makes every decision atomic:
// of many uses of one refresh token exactly one comes first.
type book struct {
	cfg Config

	mu      sync.Mutex // guards what follows
	clients map[string]string
	grants  map[string]*grant
	refresh map[string]*refreshToken
	access  map[string]*accessToken
	codes   map[string]*code
	replays int
	life    time.Duration // of access tokens
}

// A grant is one authorisation: everything that descends from one sign-in.
type grant struct {
	id       string
	user     string
	clientID string
	scopes   []string
	dead     bool
	access   []*accessToken // oldest first
	issued   []time.Time    // answers of the token endpoint, for the quotas
}

type refreshToken struct {
	text     string
	grant    *grant
	from     *refreshToken // the one it replaced
	ends     time.Time     // zero: never
	used     time.Time     // first use; zero: none
	nextUsed bool          // one that replaced it was used
}

type accessToken struct {
	text  string
	grant *grant
	ends  time.Time // zero: never
	dead  bool
}

type code struct {
	grant     *grant
	redirect  string
	challenge string
	ends      time.Time
	used      bool
}

func (b *book) init(cfg Config) {
	b.cfg = cfg
	b.clients = map[string]string{cfg.ClientID: cfg.ClientSecret.Reveal()}
	b.grants = map[string]*grant{}
	b.refresh = map[string]*refreshToken{}
	b.access = map[string]*accessToken{}
	b.codes = map[string]*code{}
	b.life = cfg.AccessLife
}

func newSecret(kind string) bellwether.Secret {
	return bellwether.NewSecret(kind + "_" + rand.Text())
}

// digest is how a token appears in the log.
func digest(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}

func (b *book) newGrantLocked(user, clientID string, scopes []string) *grant {
	g := &grant{
		id:       "g" + strconv.Itoa(len(b.grants)+1),
		user:     user,
		clientID: clientID,
		scopes:   slices.Clone(scopes),
	}
	b.grants[g.id] = g
	return g
}

func (b *book) newRefreshLocked(g *grant, from *refreshToken, now time.Time) *refreshToken {
	r := &refreshToken{text: "rt_" + rand.Text(), grant: g, from: from}
	if b.cfg.Dialect == Zoho {
		r.text = zohoToken()
	}
	if b.cfg.RefreshLife > 0 {
		r.ends = now.Add(b.cfg.RefreshLife)
	}
	b.refresh[r.text] = r
	return r
}

func (b *book) newAccessLocked(g *grant, now time.Time) *accessToken {
	a := &accessToken{text: "at_" + rand.Text(), grant: g}
	if b.cfg.Dialect == Zoho {
		a.text = zohoToken()
	}
	if b.life > 0 {
		a.ends = now.Add(b.life)
	}
	b.access[a.text] = a
	g.access = append(g.access, a)
	g.access = slices.DeleteFunc(g.access, func(a *accessToken) bool { return !a.alive(now) })
	for b.cfg.MaxAccess > 0 && len(g.access) > b.cfg.MaxAccess {
		g.access[0].dead = true
		g.access = g.access[1:]
	}
	return a
}

// zohoToken has the form of Zoho's: 1000, and twice 32 hexadecimal digits.
func zohoToken() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	return "1000." + hex.EncodeToString(raw[:16]) + "." + hex.EncodeToString(raw[16:])
}

func (a *accessToken) alive(now time.Time) bool {
	return !a.dead && !a.grant.dead && (a.ends.IsZero() || now.Before(a.ends))
}

// killLocked ends a grant and all that descends from it.
func (b *book) killLocked(g *grant) {
	g.dead = true
	g.access = nil
}

// clientLocked reports whether the client is known and its secret right.
func (b *book) clientLocked(id, secret string) (known, right bool) {
	want, known := b.clients[id]
	return known, known && subtle.ConstantTimeCompare([]byte(want), []byte(secret)) == 1
}

// quotaLocked returns how long g has to wait for its next token; 0 is not at all.
func (b *book) quotaLocked(g *grant, now time.Time) time.Duration {
	var wait time.Duration
	for _, q := range b.cfg.Quotas {
		if len(g.issued) < q.N {
			continue
		}
		free := g.issued[len(g.issued)-q.N].Add(q.Per)
		wait = max(wait, free.Sub(now))
	}
	return max(wait, 0)
}
