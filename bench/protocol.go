package bench

import (
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/report"
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
	Number    int // of the replica, from 1
	Source    Source
	Callers   int
	Leavers   int
	Redis     string
	Namespace string
	Rows      []string // ids, or keys of a shared store; at least one
	Keyset    []byte   // of a bellwether source
	Provider  providerSpec
	ClientID  string // of a shared source; the others find it in the row
	Secret    string
	Times     Times
	L1Size    int           // of a bellwether source, as in refresh.Config
	MaxStale  time.Duration // the same; negative: nothing is re-read by age
	Alive     bool          // the tokens live on: warming is to read each of them once
	Progress  bool          // tell how many callers have returned
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
	// Rate and For are of orderLoad: arrivals a second at this replica, and how long.
	// Round makes the schedule another one in each round.
	Rate  float64       `json:",omitempty"`
	For   time.Duration `json:",omitempty"`
	Round int           `json:",omitempty"`
	// Tokens, of orderList: samples 0 to Tokens-1 are there.
	Tokens int `json:",omitempty"`
}

type orderWord string

const (
	orderWarm    orderWord = "warm"    // one caller asks for a token
	orderHerd    orderWord = "herd"    // all callers ask, at order.At
	orderLoad    orderWord = "load"    // callers arrive from order.At on, at order.Rate
	orderCollect orderWord = "collect" // send what was measured
	orderList    orderWord = "list"    // list the store, of a bellwether source
	orderReadIn  orderWord = "read in" // read every token into memory
	orderHold    orderWord = "hold"    // ask for tokens in memory, then for none for order.For
)

// news is what a replica says.
type news struct {
	Word newsWord
	Err  string `json:",omitempty"` // newsFailed

	// Late, of newsWarmed: it does not hold the token; of newsDone: it had not started its
	// callers when they were due.
	Late     bool `json:",omitempty"`
	Returned int  `json:",omitempty"` // newsProgress

	// newsDone. Commit is when this replica first was about to write a new token, since
	// the release; negative for never.
	Commit time.Duration `json:",omitempty"`
	Took   time.Duration `json:",omitempty"`
	Marks  []mark        `json:",omitempty"`

	// newsCollected. Early callers are not in the histograms.
	Early     int              `json:",omitempty"`
	Failures  map[string]int   `json:",omitempty"`
	ExtraWait report.Histogram `json:",omitzero"`
	Handover  report.Histogram `json:",omitzero"`
	Commands  map[string]int64 `json:",omitempty"`

	// newsListed. Missing are samples that were not listed, Doubled what was listed beyond
	// one of each. Resident is the most memory that the process has had, in bytes.
	Listed   int   `json:",omitempty"`
	Missing  int   `json:",omitempty"`
	Doubled  int   `json:",omitempty"`
	Resident int64 `json:",omitempty"`

	Load *load `json:",omitempty"` // newsLoaded, with Commands and Marks
	Held *held `json:",omitempty"` // newsHeld

	replica *replica // who says it; set by the parent
}

// A mark is something that a replica did, since the release.
type mark struct {
	What string
	At   time.Duration
}

type newsWord string

const (
	newsReady     newsWord = "ready"     // after the setup
	newsWarmed    newsWord = "warmed"    // after orderWarm
	newsCalling   newsWord = "calling"   // a token request is about to be sent
	newsProgress  newsWord = "progress"  // during orderHerd
	newsDone      newsWord = "done"      // every caller of orderHerd has returned
	newsCollected newsWord = "collected" // after orderCollect
	newsLoaded    newsWord = "loaded"    // every arrival of orderLoad has returned
	newsListed    newsWord = "listed"    // after orderList
	newsHeld      newsWord = "held"      // after orderReadIn and orderHold
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
			Endpoints: []zoho.Endpoints{{DataCenter: "loopback", Accounts: s.Base, API: []string{s.Base}}},
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
