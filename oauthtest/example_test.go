package oauthtest_test

import (
	"fmt"
	"net/http"

	"github.com/bellwether-go/bellwether/oauthtest"
)

// A rotation whose answer is lost, and a careless second try.
func Example() {
	srv := oauthtest.New(oauthtest.Config{})
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: srv.DialContext}}
	grant := srv.Issue("bob")

	refresh := func() {
		req, err := srv.Provider().Request(grant.Token)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println("no answer; grant alive:", srv.GrantAlive(grant.ID))
			return
		}
		defer resp.Body.Close()
		fmt.Println(resp.StatusCode, "grant alive:", srv.GrantAlive(grant.ID))
	}

	srv.Inject(oauthtest.DropAfterCommit())
	refresh()
	refresh()
	fmt.Println(srv.Calls(), "calls,", srv.Replays(), "replay")
	// Output:
	// no answer; grant alive: true
	// 400 grant alive: false
	// 2 calls, 1 replay
}
