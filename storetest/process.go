package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
)

// childEnv tells a test binary that it is a child of the suite.
const childEnv = "BELLWETHER_STORETEST_CHILD"

const (
	processes        = 4
	savesPerProcess  = 16
	processesMayTake = time.Minute
)

// Main runs the tests, or, in a process that the suite has started, the part of a
// race that falls to it, and exits. Call it from TestMain of a package whose Harness
// has Process. open finds the store by the environment that Process returned.
//
//	func TestMain(m *testing.M) { storetest.Main(m, openByEnvironment) }
func Main(m *testing.M, open func() (bellwether.Store, error)) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	if err := child(os.Stdin, os.Stdout, open); err != nil {
		fmt.Fprintln(os.Stderr, "storetest: child process:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A claim is a Save, or a Swap, in a child process.
type claim struct {
	ID, UserName, ClientID, ClientSecret, RefreshToken, AccessToken string
	Generation                                                      int64
	Swap                                                            bool
	Version, Cred                                                   string // of a Swap
}

func (c claim) token() bellwether.Token {
	return bellwether.Token{
		ID: c.ID, UserName: c.UserName, ClientID: c.ClientID, ClientSecret: secret(c.ClientSecret),
		RefreshToken: secret(c.RefreshToken), AccessToken: secret(c.AccessToken), Generation: c.Generation,
	}
}

// make makes the claim good.
func (c claim) make(ctx context.Context, s bellwether.Store) (bellwether.Token, error) {
	if !c.Swap {
		return s.Save(ctx, c.token())
	}
	t := c.token()
	t.State, t.CreatedAt, t.UpdatedAt = bellwether.StateActive, day, day
	got, err := s.(bellwether.Durable).Swap(ctx, c.Version, bellwether.Record{Token: t, Cred: c.Cred})
	return got.Token, err
}

// A verdict is what became of a claim.
type verdict struct {
	ID         string
	Generation int64
	Conflict   bool
	Error      string
}

// child opens the store, says that it is ready, and runs batch after batch of claims,
// each on one line, until in ends.
func child(in io.Reader, out io.Writer, open func() (bellwether.Store, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), processesMayTake)
	defer cancel()
	s, err := open()
	if err != nil {
		return err
	}
	requests, answers := json.NewDecoder(in), json.NewEncoder(out)
	if err := answers.Encode("ready"); err != nil {
		return err
	}
	for {
		var claims []claim
		if err := requests.Decode(&claims); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		rows, errs := make([]bellwether.Token, len(claims)), make([]error, len(claims))
		var wg sync.WaitGroup
		for i, c := range claims {
			wg.Go(func() { rows[i], errs[i] = c.make(ctx, s) })
		}
		wg.Wait()
		verdicts := make([]verdict, len(claims))
		for i, err := range errs {
			verdicts[i] = verdict{ID: rows[i].ID, Generation: rows[i].Generation}
			if err != nil {
				verdicts[i].Conflict, verdicts[i].Error = errors.Is(err, bellwether.ErrConflict), err.Error()
			}
		}
		if err := answers.Encode(verdicts); err != nil {
			return err
		}
	}
}

// A herd is a set of child processes that share the store under test.
type herd struct {
	in  []io.Writer
	out []*json.Decoder
}

func startHerd(t *testing.T, h Harness, s bellwether.Store) *herd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	hd := new(herd)
	for range processes {
		ctx, cancel := context.WithTimeout(context.Background(), processesMayTake)
		cmd := exec.CommandContext(ctx, binary)
		cmd.Env = append(append(os.Environ(), h.Process(t, s)...), childEnv+"=1",
			// The race detector would have each child sleep for a second at its end.
			"GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			defer cancel()
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				t.Errorf("child process: %v: %s", err, stderr.String())
			}
		})
		hd.in = append(hd.in, in)
		hd.out = append(hd.out, json.NewDecoder(out))
	}
	for i, out := range hd.out {
		var word string
		if err := out.Decode(&word); err != nil || word != "ready" {
			t.Fatalf("child process %d does not get ready: %q, %v (does TestMain call storetest.Main?)", i, word, err)
		}
	}
	return hd
}

// race gives each process its claims at the same moment.
func (hd *herd) race(t *testing.T, claims func(process, i int) claim) []verdict {
	t.Helper()
	verdicts := make([][]verdict, len(hd.in))
	errs := make([]error, len(hd.in))
	var wg sync.WaitGroup
	for p := range hd.in {
		wg.Go(func() {
			var batch []claim
			for i := range savesPerProcess {
				batch = append(batch, claims(p, i))
			}
			errs[p] = json.NewEncoder(hd.in[p]).Encode(batch)
			if errs[p] == nil {
				errs[p] = hd.out[p].Decode(&verdicts[p])
			}
		})
	}
	wg.Wait()
	var got []verdict
	for p, v := range verdicts {
		if errs[p] != nil {
			t.Fatalf("child process %d: %v", p, errs[p])
		}
		got = append(got, v...)
	}
	return got
}

var processRules = []rule{
	{"SeesTheSameRows", testProcessSees},
	{"OneUserName", testProcessUserName},
	{"OneRefreshToken", testProcessRefreshToken},
	{"TwoRules", testProcessTwoRules},
	{"ManyIDsOneRefreshToken", testProcessClaim},
	{"OneGenerationOneWinner", testProcessGeneration},
}

// testProcessSees makes sure that the other tests here mean what they say.
func testProcessSees(t *testing.T, h Harness) {
	s := h.New(t)
	row := save(t, s, refreshable("u", "r"))
	for _, v := range startHerd(t, h, s).race(t, func(int, int) claim { return claim{RefreshToken: "r"} }) {
		if v.Error != "" || v.ID != row.ID {
			t.Fatalf("a child process saved row %q, error %q; want row %q", v.ID, v.Error, row.ID)
		}
	}
	if got := load(t, s, row.ID); got.Generation <= row.Generation {
		t.Errorf("after Saves in child processes the generation is %d, was %d", got.Generation, row.Generation)
	}
}

func (hd *herd) raceIntoOneRow(t *testing.T, s bellwether.Store, claims func(process, i int) claim) bellwether.Token {
	t.Helper()
	verdicts := hd.race(t, claims)
	for _, v := range verdicts {
		if v.Error != "" {
			t.Errorf("a Save in a child process: %s", v.Error)
		} else if v.ID != verdicts[0].ID {
			t.Errorf("a Save in a child process made row %q beside %q", v.ID, verdicts[0].ID)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	wantRows(t, s, 1)
	return load(t, s, verdicts[0].ID)
}

func testProcessUserName(t *testing.T, h Harness) {
	s := h.New(t)
	row := startHerd(t, h, s).raceIntoOneRow(t, s, func(p, i int) claim {
		return claim{UserName: "u", AccessToken: fmt.Sprint("a", p, "-", i)}
	})
	wantFound(t, s, bellwether.Token{UserName: "u"}, row.ID)
}

func testProcessRefreshToken(t *testing.T, h Harness) {
	s := h.New(t)
	row := startHerd(t, h, s).raceIntoOneRow(t, s, func(int, int) claim {
		return claim{RefreshToken: "r", ClientID: "c", ClientSecret: "s"}
	})
	wantFound(t, s, bellwether.Token{RefreshToken: secret("r")}, row.ID)
}

func testProcessTwoRules(t *testing.T, h Harness) {
	s := h.New(t)
	row := startHerd(t, h, s).raceIntoOneRow(t, s, func(p, i int) claim {
		if (p+i)%2 == 0 {
			return claim{UserName: "u", RefreshToken: "r"}
		}
		return claim{RefreshToken: "r", ClientID: "c", ClientSecret: "s"}
	})
	if row.UserName != "u" || row.ClientID != "c" {
		t.Errorf("the row has user name %q and client %q, want both", row.UserName, row.ClientID)
	}
}

func wantOneVerdict(t *testing.T, verdicts []verdict) verdict {
	t.Helper()
	var won []verdict
	for _, v := range verdicts {
		switch {
		case v.Error == "":
			won = append(won, v)
		case !v.Conflict:
			t.Errorf("a Save in a child process: %s, want success or a conflict", v.Error)
		}
	}
	if len(won) != 1 {
		t.Fatalf("%d of %d Saves won, want one", len(won), len(verdicts))
	}
	return won[0]
}

func testProcessClaim(t *testing.T, h Harness) {
	s := h.New(t)
	won := wantOneVerdict(t, startHerd(t, h, s).race(t, func(p, i int) claim {
		return claim{ID: fmt.Sprint("row-", p, "-", i), RefreshToken: "r"}
	}))
	wantRows(t, s, 1)
	wantFound(t, s, bellwether.Token{RefreshToken: secret("r")}, won.ID)
}

func testProcessGeneration(t *testing.T, h Harness) {
	s := h.New(t)
	row := save(t, s, withID(refreshable("u", "r"), "row"))
	hd := startHerd(t, h, s)
	for range 5 {
		won := wantOneVerdict(t, hd.race(t, func(int, int) claim {
			return claim{ID: "row", RefreshToken: "r", Generation: row.Generation}
		}))
		if won.Generation != row.Generation+1 {
			t.Errorf("the winner made generation %d out of %d", won.Generation, row.Generation)
		}
		row = load(t, s, "row")
	}
}
