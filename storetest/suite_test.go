package storetest_test

import (
	"context"
	"errors"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/memstore"
	"github.com/bellwether-go/bellwether/storetest"
)

const (
	faultEnv   = "BELLWETHER_STORETEST_FAULT" // name of an entry of faults
	addressEnv = "BELLWETHER_STORETEST_ADDRESS"
)

func TestMain(m *testing.M) { storetest.Main(m, dial) }

// TestSuite runs the suite over a store in memory that child processes reach by RPC;
// with a fault when TestSuitesFindFaults asks for one.
func TestSuite(t *testing.T) {
	h := storetest.Harness{
		New:     func(testing.TB) bellwether.Store { return memstore.New() },
		Process: serve,
		Rows:    2_000,
	}
	if f, ok := faults[os.Getenv(faultEnv)]; ok {
		f.spoil(&h)
	}
	storetest.Run(t, h)
}

// TestSuitesFindFaults runs the suites over stores that break one rule each, and wants
// the subtest of that rule to fail.
func TestSuitesFindFaults(t *testing.T) {
	for suite, faults := range map[string]map[string]fault{"TestSuite": faults, "TestDurableSuite": durableFaults} {
		for name, f := range faults {
			t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) { findFault(t, suite, name, f) })
		}
	}
}

func findFault(t *testing.T, suite, name string, f fault) {
	var pattern []string
	for part := range strings.SplitSeq(suite+"/"+f.found, "/") {
		pattern = append(pattern, "^"+part+"$")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+strings.Join(pattern, "/"), "-test.timeout=60s")
	cmd.Env = append(os.Environ(), faultEnv+"="+name, "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		t.Fatalf("%s passes a store that %s (%v):\n%s", f.found, name, err, out)
	}
	if !strings.Contains(string(out), "--- FAIL: "+suite+"/"+f.found) {
		t.Errorf("a store that %s does not fail in %s:\n%s", name, f.found, out)
	}
	if strings.Contains(string(out), "panic:") {
		t.Errorf("a store that %s makes the suite panic:\n%s", name, out)
	}
}

// A Service is a store that other processes save to.
type Service struct{ store bellwether.Store }

// Row is what goes over the wire of a Token: a Secret does not encode itself.
type Row struct {
	ID, UserName, ClientID, ClientSecret, RefreshToken, AccessToken string
	Generation                                                      int64
	Conflict                                                        bool
	Error                                                           string
}

// Save is called by net/rpc.
func (s *Service) Save(given Row, saved *Row) error {
	got, err := s.store.Save(context.Background(), bellwether.Token{
		ID: given.ID, UserName: given.UserName, ClientID: given.ClientID, Generation: given.Generation,
		ClientSecret: bellwether.NewSecret(given.ClientSecret),
		RefreshToken: bellwether.NewSecret(given.RefreshToken),
		AccessToken:  bellwether.NewSecret(given.AccessToken),
	})
	saved.ID, saved.Generation = got.ID, got.Generation
	if err != nil {
		saved.Error, saved.Conflict = err.Error(), errors.Is(err, bellwether.ErrConflict)
	}
	return nil
}

// serve lets child processes reach s, and returns where.
func serve(t testing.TB, s bellwether.Store) []string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	server := rpc.NewServer()
	if err := server.Register(&Service{s}); err != nil {
		t.Fatal(err)
	}
	go server.Accept(l)
	return []string{addressEnv + "=" + l.Addr().String()}
}

// remote is a Store of which only Save is there: a child process calls nothing else.
type remote struct {
	bellwether.Store
	client *rpc.Client
}

func dial() (bellwether.Store, error) {
	if os.Getenv(faultEnv) == "is not shared by processes" {
		return memstore.New(), nil
	}
	conn, err := net.DialTimeout("tcp", os.Getenv(addressEnv), 10*time.Second)
	if err != nil {
		return nil, err
	}
	return remote{client: rpc.NewClient(conn)}, nil
}

func (r remote) Save(_ context.Context, t bellwether.Token) (bellwether.Token, error) {
	given := Row{
		ID: t.ID, UserName: t.UserName, ClientID: t.ClientID, Generation: t.Generation,
		ClientSecret: t.ClientSecret.Reveal(), RefreshToken: t.RefreshToken.Reveal(), AccessToken: t.AccessToken.Reveal(),
	}
	var saved Row
	if err := r.client.Call("Service.Save", given, &saved); err != nil {
		return bellwether.Token{}, err
	}
	switch {
	case saved.Conflict:
		return bellwether.Token{}, &bellwether.Error{Kind: bellwether.ErrConflict, Op: "save"}
	case saved.Error != "":
		return bellwether.Token{}, errors.New(saved.Error)
	}
	return bellwether.Token{ID: saved.ID, Generation: saved.Generation}, nil
}
