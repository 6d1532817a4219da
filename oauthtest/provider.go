package oauthtest

import (
	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/oauth"
	"github.com/bellwether-go/bellwether/provider/zoho"
)

// Provider returns the provider that speaks to this server at its present URL:
// call Start before, when it is to be reached over loopback. Its rotation is the
// server's; its quotas are, too, unless the dialect is Zoho, which has its own.
func (s *Server) Provider() bellwether.Provider {
	var p bellwether.Provider
	var err error
	if s.cfg.Dialect == Zoho {
		p, err = zoho.NewWith(zoho.Config{
			Name:      s.cfg.Name,
			Endpoints: []zoho.Endpoints{{DataCenter: "test", Accounts: s.URL(), API: []string{s.URL()}}},
			AllowHTTP: true,
		})
	} else {
		p, err = oauth.New(oauth.Config{
			Name:      s.cfg.Name,
			TokenURL:  s.TokenURL(),
			RevokeURL: s.RevokeURL(),
			Rotation:  s.cfg.Rotation,
			Grace:     s.cfg.Grace,
			Quotas:    s.cfg.Quotas,
			AllowHTTP: true,
		})
	}
	if err != nil {
		panic(err) // Config.Name or Quotas that no provider can have
	}
	return p
}
