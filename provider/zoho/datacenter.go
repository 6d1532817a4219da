package zoho

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/wire"
)

// A DataCenter is one of Zoho's, by the code that Zoho's sign-in redirect gives
// as location.
type DataCenter string

// Zoho's data centres. The United Arab Emirates (accounts.zoho.ae) are left out:
// no page of Zoho's that we know confirms their hosts, and an accounts host
// receives client secrets. Who needs them adds Endpoints to Config.
const (
	US DataCenter = "us"
	EU DataCenter = "eu"
	IN DataCenter = "in"
	AU DataCenter = "au"
	CN DataCenter = "cn"
	JP DataCenter = "jp"
	CA DataCenter = "ca"
	SA DataCenter = "sa"
	UK DataCenter = "uk"
)

// Endpoints are the hosts of a data centre, as base URLs. API lists what an
// answer's api_domain may be.
type Endpoints struct {
	DataCenter DataCenter
	Accounts   string
	API        []string
}

// DefaultEndpoints returns those of Zoho's data centres, US first. Hosts: the
// constants of Zoho's CRM SDKs; uk from zoho.com/accounts/protocol/oauth/multi-dc.
func DefaultEndpoints() []Endpoints {
	var out []Endpoints
	for _, e := range []struct {
		dc            DataCenter
		accounts, api string
	}{
		{US, "accounts.zoho.com", "zohoapis.com"},
		{EU, "accounts.zoho.eu", "zohoapis.eu"},
		{IN, "accounts.zoho.in", "zohoapis.in"},
		{AU, "accounts.zoho.com.au", "zohoapis.com.au"},
		{CN, "accounts.zoho.com.cn", "zohoapis.com.cn"},
		{JP, "accounts.zoho.jp", "zohoapis.jp"},
		{CA, "accounts.zohocloud.ca", "zohoapis.ca"},
		{SA, "accounts.zoho.sa", "zohoapis.sa"},
		{UK, "accounts.zoho.uk", "zohoapis.uk"},
	} {
		out = append(out, Endpoints{e.dc, "https://" + e.accounts, []string{
			"https://www." + e.api, "https://sandbox." + e.api, "https://developer." + e.api,
		}})
	}
	return out
}

// ParseDataCenter reads a code ("eu", in any case) or an accounts URL, such as
// the accounts-server that a sign-in redirect brings. Anything else matches
// ErrInvalid: never send a client secret to a host that a redirect names before
// asking here.
func ParseDataCenter(s string) (DataCenter, error) {
	base, _ := wire.Base(s, false)
	for _, e := range DefaultEndpoints() {
		if DataCenter(strings.ToLower(s)) == e.DataCenter || base == e.Accounts {
			return e.DataCenter, nil
		}
	}
	return "", &bellwether.Error{
		Kind: bellwether.ErrInvalid, Op: "zoho data centre",
		Detail: "unknown data centre", Hint: "known are " + known(DefaultEndpoints()),
	}
}

// known lists the codes and accounts URLs for hints.
func known(table []Endpoints) string {
	var names []string
	for _, e := range table {
		names = append(names, fmt.Sprintf("%s (%s)", e.DataCenter, e.Accounts))
	}
	return strings.Join(names, ", ")
}

// normal returns the table with every URL checked and in normal form.
func normal(table []Endpoints, allowHTTP bool) ([]Endpoints, error) {
	var out []Endpoints
	for _, e := range table {
		accounts, err := wire.Base(e.Accounts, allowHTTP)
		if err != nil {
			return nil, fmt.Errorf("accounts URL of %q: %w", e.DataCenter, err)
		}
		n := Endpoints{DataCenter: e.DataCenter, Accounts: accounts}
		for _, api := range e.API {
			base, err := wire.Base(api, allowHTTP)
			if err != nil {
				return nil, fmt.Errorf("API URL of %q: %w", e.DataCenter, err)
			}
			n.API = append(n.API, base)
		}
		twice := func(o Endpoints) bool { return o.DataCenter == n.DataCenter || o.Accounts == n.Accounts }
		switch {
		case e.DataCenter == "":
			return nil, errors.New("a data centre without a code")
		case len(n.API) == 0:
			return nil, fmt.Errorf("data centre %q without an API URL", e.DataCenter)
		case slices.ContainsFunc(out, twice):
			return nil, fmt.Errorf("data centre %q stands twice", e.DataCenter)
		}
		out = append(out, n)
	}
	return out, nil
}
