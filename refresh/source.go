package refresh

import (
	"context"
	"sync/atomic"

	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
)

// source is one row as an oauth2.TokenSource. It keeps the row's place in the L1,
// so that a hit is two loads, one reading of the clock and one comparison.
type source struct {
	r     *Refresher
	id    string
	entry atomic.Pointer[entry]
}

// Source returns row id as an oauth2.TokenSource, for code that takes one. Token
// returns what Get does, waits at most Config.MaxWait, and does not allocate on a
// hit. The *oauth2.Token is shared and must not be changed; it has no refresh
// token, and its TokenType is the scheme of the provider's Authorization header,
// so that oauth2.Transport sets the right one.
//
// Do not wrap it in oauth2.ReuseTokenSource, which would keep a token beyond its
// revocation.
func (r *Refresher) Source(id string) oauth2.TokenSource {
	s := &source{r: r, id: id}
	if checkID(id) == nil {
		e := r.l1.pin(id)
		s.entry.Store(e)
		e.unpin()
	} else {
		s.entry.Store(new(entry)) // always empty: Token tells why
	}
	return s
}

func (s *source) Token() (*oauth2.Token, error) {
	if v := s.entry.Load().hit(s.r.now()); v != nil {
		return v.oauth, nil
	}
	return s.slow()
}

func (s *source) slow() (*oauth2.Token, error) {
	ctx := context.Background()
	if wait := s.r.cfg.MaxWait; wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	v, err := s.r.get(ctx, s.id, wish{kind: bellwether.AttemptMandatory})
	if err != nil {
		return nil, err
	}
	if e := s.r.l1.lookup(s.id); e != nil {
		s.entry.Store(e) // the old one may have been evicted
	}
	return v.oauth, nil
}
