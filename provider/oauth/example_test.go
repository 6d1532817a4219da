package oauth_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/oauth"
)

// A known provider, with the grace period that its administrator has set.
func ExampleOkta() {
	p, err := oauth.New(oauth.Okta("https://example.okta.com/oauth2/default", 45*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Profile().Rotation, p.Profile().Grace, p.Profile().Hosts)
	// Output: grace 45s [example.okta.com]
}

// An answer that breaks off behind the tokens: they are kept.
func ExampleProvider_Parse() {
	p, err := oauth.New(oauth.Config{Name: "crm", TokenURL: "https://id.example/token"})
	if err != nil {
		fmt.Println(err)
		return
	}
	t, err := p.Parse(bellwether.Token{}, bellwether.Answer{
		Status: 200,
		Body:   []byte(`{"access_token":"a1","refresh_token":"r2","expires_`),
		Time:   time.Now(),
	})
	e, _ := errors.AsType[*bellwether.ProviderError](err)
	fmt.Println(e.Class, !t.RefreshToken.IsZero(), t.RefreshToken)
	// Output: unknown true [redacted]
}
