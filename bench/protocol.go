package bench

import (
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/provider/oauth"
	"github.com/bellwether-go/bellwether/provider/zoho"
)

// WorkerCommand is the argument by which a binary knows that it is a replica.
const WorkerCommand = "bench-worker"

// What parent and replica say to each other is one JSON value a line: a setup, then
// orders, go in; news comes out.

// A setup is the first line that a replica reads. It holds secrets.
type setup struct {
	Source    Source
	Callers   int
	Redis     string
	Namespace string
	Row       string // id, or key of a shared store
	Keyset    []byte // of a bellwether source
	Provider  providerSpec
	ClientID  string // of a shared source; the others find it in the row
	Secret    string
	Times     Times
	Progress  bool // tell how many callers have returned
}

// An order is a later line.
type order struct {
	Do orderWord
	// At is the instant of release on the wall clock, in Unix nanoseconds. Each replica
	// turns it into its own monotonic time when it reads the order.
	At int64 `json:",omitempty"`
	// Service and Commit are what orderCollect subtracts, both since the release where
	// they are instants. Commit is negative when nothing was written.
	Service time.Duration `json:",omitempty"`
	Commit  time.Duration `json:",omitempty"`
}

type orderWord string

const (
	orderWarm    orderWord = "warm"    // one caller asks for a token
	orderHerd    orderWord = "herd"    // all callers ask, at order.At
	orderCollect orderWord = "collect" // send what was measured
)

// news is what a replica says.
type news struct {
	Word newsWord
	Err  string `json:",omitempty"` // newsFailed

	Late     bool `json:",omitempty"` // newsWarmed: it does not hold the token
	Returned int  `json:",omitempty"` // newsProgress

	// newsDone. Commit is when this replica first was about to write a new token, since
	// the release; negative for never.
	Commit time.Duration `json:",omitempty"`
	Took   time.Duration `json:",omitempty"`

	// newsCollected.
	Failures  map[string]int   `json:",omitempty"`
	ExtraWait Histogram        `json:",omitzero"`
	Handover  Histogram        `json:",omitzero"`
	Commands  map[string]int64 `json:",omitempty"`

	replica *replica // who says it; set by the parent
}

type newsWord string

const (
	newsReady     newsWord = "ready"     // after the setup
	newsWarmed    newsWord = "warmed"    // after orderWarm
	newsCalling   newsWord = "calling"   // a token request is about to be sent
	newsProgress  newsWord = "progress"  // during orderHerd
	newsDone      newsWord = "done"      // every caller of orderHerd has returned
	newsCollected newsWord = "collected" // after orderCollect
	newsFailed    newsWord = "failed"    // it cannot go on
	newsGone      newsWord = "gone"      // said by the parent: the process has ended
)

// A providerSpec lets a replica build the provider that speaks to an oauthtest.Server.
type providerSpec struct {
	Name      string
	Zoho      bool
	Base      string
	TokenURL  string
	RevokeURL string
	APIURL    string
	Rotation  bellwether.Rotation
	Grace     time.Duration
}

func specOf(srv *oauthtest.Server, cfg oauthtest.Config) providerSpec {
	p := srv.Provider()
	return providerSpec{
		Name:      p.Name(),
		Zoho:      cfg.Dialect == oauthtest.Zoho,
		Base:      srv.URL(),
		TokenURL:  srv.TokenURL(),
		RevokeURL: srv.RevokeURL(),
		APIURL:    srv.APIURL(),
		Rotation:  p.Profile().Rotation,
		Grace:     p.Profile().Grace,
	}
}

func (s providerSpec) provider() (bellwether.Provider, error) {
	if s.Zoho {
		return zoho.NewWith(zoho.Config{
			Name:      s.Name,
			Centres:   []zoho.Centre{{Code: "loopback", Accounts: s.Base, API: []string{s.Base}}},
			AllowHTTP: true,
		})
	}
	return oauth.New(oauth.Config{
		Name:      s.Name,
		TokenURL:  s.TokenURL,
		RevokeURL: s.RevokeURL,
		Rotation:  s.Rotation,
		Grace:     s.Grace,
		AllowHTTP: true,
	})
}

// serverConfig is the oauthtest.Server of a profile.
func serverConfig(profile string, latency time.Duration) oauthtest.Config {
	cfg := oauthtest.Config{Latency: latency}
	switch profile {
	case "zoho":
		cfg.Dialect = oauthtest.Zoho
	case "grace":
		cfg.Rotation, cfg.Grace = bellwether.RotationGrace, grace
	default:
		cfg.Rotation = bellwether.Rotation(profile)
	}
	return cfg
}
