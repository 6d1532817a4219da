// Command web is a web service that shows a CRM's contacts. All replicas call the
// CRM with one OAuth credential.
//
//	export BELLWETHER_REDIS=redis://localhost:6379 BELLWETHER_KEYSET=keyset.json
//	export BELLWETHER_TOKEN=bot@example.com   # user name, from `bellwether add`
//	web -listen :8080
//	curl http://localhost:8080/contacts
//
// However many replicas and visitors there are, an expired token is refreshed once,
// ahead of its end and behind the visitors. BELLWETHER_NAMESPACE and
// BELLWETHER_PROVIDERS are those of the command. A replica that is told to end
// finishes its requests and a refresh under way.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/providerfile"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to serve on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen); err != nil {
		slog.Error("web failed", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen string) (err error) {
	keys, err := seal.Open(os.Getenv("BELLWETHER_KEYSET"))
	if err != nil {
		return err
	}
	store, err := redisstore.Open(ctx, os.Getenv("BELLWETHER_REDIS"),
		redisstore.Config{Namespace: os.Getenv("BELLWETHER_NAMESPACE"), Sealer: keys})
	if err != nil {
		return err
	}
	defer store.Close()
	providers, err := providerfile.Open(os.Getenv("BELLWETHER_PROVIDERS"))
	if err != nil {
		return err
	}
	r, err := refresh.New(store, refresh.Config{Providers: providers})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }() // stores an answer that is on its way
	t, err := store.Find(ctx, bellwether.Token{UserName: os.Getenv("BELLWETHER_TOKEN")})
	if err != nil {
		return err
	}
	return serve(ctx, listen, newHandler(r, t.ID))
}

// newHandler serves /contacts from the CRM, with the token of row id.
func newHandler(r *refresh.Refresher, id string) http.Handler {
	crm := r.Client(id, nil) // sets the header, and refreshes when the CRM rejects it
	mux := http.NewServeMux()
	mux.HandleFunc("GET /contacts", func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(req.Context(), 20*time.Second)
		defer cancel()
		access, err := r.Get(ctx, id, refresh.Want{}) // where the CRM is
		if err != nil {
			fail(w, err)
			return
		}
		call, err := http.NewRequestWithContext(ctx, http.MethodGet, access.APIDomain+"/crm/v8/Contacts", nil)
		if err != nil {
			fail(w, err)
			return
		}
		resp, err := crm.Do(call)
		if err != nil {
			fail(w, err)
			return
		}
		defer resp.Body.Close()
		w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})
	return mux
}

// fail tells the visitor whether to come back, and the log why.
func fail(w http.ResponseWriter, err error) {
	slog.Warn("the CRM cannot be asked", "err", err)
	switch e, ok := errors.AsType[*bellwether.Error](err); {
	case errors.Is(err, bellwether.ErrReauthRequired):
		http.Error(w, "an administrator has to sign in to the CRM again", http.StatusServiceUnavailable)
	case ok && !e.Until.IsZero():
		seconds := max(1, int(time.Until(e.Until).Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		http.Error(w, "the CRM asks to wait", http.StatusServiceUnavailable)
	default:
		http.Error(w, "the CRM cannot be reached", http.StatusBadGateway)
	}
}

// serve serves until ctx ends, then finishes the requests under way.
func serve(ctx context.Context, listen string, h http.Handler) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	slog.Info("web is ready", "url", "http://"+l.Addr().String())
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return srv.Shutdown(ctx)
}
