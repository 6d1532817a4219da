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
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/zoho"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
)

func Example() {
	ctx, id, secret, refreshToken := context.Background(), "1000.ABC", "client secret", "1000.refresh"
	keyset, redisURL, end := ground(ctx, bellwether.Token{Provider: "zoho", UserName: "bot@x.com:60001",
		ClientID: id, ClientSecret: bellwether.NewSecret(secret), RefreshToken: bellwether.NewSecret(refreshToken)})
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
	r, err := refresh.New(store, refresh.Config{Providers: []bellwether.Provider{zoho.New(zoho.EU)}})
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
	fmt.Println(resp.Status, resp.Header.Get("Saw"))
	// Output: 200 OK Zoho-oauthtoken 1000.access
}

// ground makes what Example takes for granted: a keyset, a Redis in which the row has
// a living access token already, and a CRM, to which the default transport leads
// whatever the host.
func ground(ctx context.Context, row bellwether.Token) (keyset, redisURL string, end func()) {
	dir, err := os.MkdirTemp("", "example-*")
	keyset = filepath.Join(dir, "keyset.json")
	keys, err2 := seal.Create(keyset)
	mini := miniredis.NewMiniRedis()
	if err := errors.Join(err, err2, mini.Start()); err != nil {
		log.Fatal(err)
	}
	redisURL = "redis://" + mini.Addr()
	store, err := redisstore.Open(ctx, redisURL, redisstore.Config{Namespace: "crm", Sealer: keys})
	if err != nil {
		log.Fatal(err)
	}
	row.AccessToken, row.ExpiresAt = bellwether.NewSecret("1000.access"), time.Now().Add(time.Hour)
	row.APIDomain = "https://www.zohoapis.eu"
	_, err = store.Save(ctx, row)
	if err := errors.Join(err, store.Close()); err != nil {
		log.Fatal(err)
	}
	crm := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Saw", r.Header.Get("Authorization"))
	}))
	before := http.DefaultTransport
	http.DefaultTransport = &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, crm.Listener.Addr().String())
		},
		TLSClientConfig: &tls.Config{
			RootCAs:    crm.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
			ServerName: "example.com", // which stands in the server's certificate
		},
	}
	return keyset, redisURL, func() {
		http.DefaultTransport = before
		crm.CloseClientConnections()
		crm.Close()
		mini.Close()
		_ = os.RemoveAll(dir)
	}
}
