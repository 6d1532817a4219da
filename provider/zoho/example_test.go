package zoho_test

import (
	"fmt"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/zoho"
)

// A user's sign-in came back with accounts-server=https://accounts.zoho.in: check
// it before any secret goes there.
func ExampleParseDataCenter() {
	dc, err := zoho.ParseDataCenter("https://accounts.zoho.in")
	fmt.Println(dc, err)
	_, err = zoho.ParseDataCenter("https://accounts.zoho.in.evil.example")
	fmt.Println(err != nil)
	// Output:
	// in <nil>
	// true
}

// One provider serves every data centre; the token says which.
func ExampleNew() {
	p := zoho.New(zoho.EU)
	for _, accounts := range []string{"", "https://accounts.zohocloud.ca"} {
		req, err := p.Request(bellwether.Token{
			AccountsURL: accounts, ClientID: "1000.X",
			ClientSecret: bellwether.NewSecret("s"), RefreshToken: bellwether.NewSecret("r"),
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(req.URL)
	}
	// Output:
	// https://accounts.zoho.eu/oauth/v2/token
	// https://accounts.zohocloud.ca/oauth/v2/token
}
