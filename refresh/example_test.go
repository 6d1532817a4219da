package refresh_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/alicebob/miniredis/v2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/provider/zoho"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
)

func Example() {
	ctx, id, secret := context.Background(), "1000.ABC", "client secret"
	keyset, redisURL, refreshToken, dial, trust, end := ground(id, secret)
	defer end()

	keys, err := seal.Open(keyset) // bellwether keys new
	if err != nil {
		log.Fatal(err)
	}
	store, err := redisstore.Open(ctx, redisURL, redisstore.Config{Namespace: "crm", Sealer: keys})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	r, err := refresh.New(store, refresh.Config{Providers: []bellwether.Provider{zoho.New(zoho.EU)}, DialContext: dial, TLSConfig: trust})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	t, err := store.Save(ctx, bellwether.Token{Provider: "zoho", UserName: "bot@x.com:60001",
		ClientID: id, ClientSecret: bellwether.NewSecret(secret), RefreshToken: bellwether.NewSecret(refreshToken)})
	if err != nil {
		log.Fatal(err)
	}
	resp, err := r.Client(t.ID, nil).Get("https://www.zohoapis.eu/crm/v8/org")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()

	fmt.Println("the API answered", resp.Status)
	if t, err = store.FindByID(ctx, t.ID); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the row has an access token for", t.APIDomain)
	// Output:
	// the API answered 200 OK
	// the row has an access token for https://www.zohoapis.eu
}

// ground makes what Example takes for granted: a keyset, a Redis, and a Zoho with a
// grant and an API. To it lead dial and the default transport, whatever the host.
func ground(id, secret string) (keyset, redisURL, refreshToken string, dial dialFunc, trust *tls.Config, end func()) {
	dir, err := os.MkdirTemp("", "example-*")
	keyset = filepath.Join(dir, "keyset.json")
	_, err2 := seal.Create(keyset)
	mini := miniredis.NewMiniRedis()
	if err := errors.Join(err, err2, mini.Start()); err != nil {
		log.Fatal(err)
	}
	srv := oauthtest.New(oauthtest.Config{Dialect: oauthtest.Zoho, ClientID: id, ClientSecret: bellwether.NewSecret(secret)})
	srv.Inject(oauthtest.EditAnswer(func(f map[string]any) { f["api_domain"] = "https://www.zohoapis.eu" }))
	https := httptest.NewTLSServer(srv)
	dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, https.Listener.Addr().String())
	}
	trust = &tls.Config{
		RootCAs:    https.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		ServerName: "example.com", // which stands in the server's certificate
	}
	before := http.DefaultTransport
	http.DefaultTransport = &http.Transport{DialContext: dial, TLSClientConfig: trust}
	return keyset, "redis://" + mini.Addr(), srv.Issue("bot@x.com").Token.RefreshToken.Reveal(), dial, trust, func() {
		http.DefaultTransport = before
		https.CloseClientConnections()
		https.Close()
		srv.Close()
		mini.Close()
		_ = os.RemoveAll(dir)
	}
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)
