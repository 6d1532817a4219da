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
// receives client secrets. Who needs them adds a Centre to Config.
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

// A Centre is a data centre's hosts, as base URLs. API lists what an answer's
// api_domain may be.
type Centre struct {
	Code     DataCenter
	Accounts string
	API      []string
}

// Centres returns Zoho's data centres. Hosts: the constants of Zoho's CRM SDKs;
// uk from zoho.com/accounts/protocol/oauth/multi-dc.
func Centres() []Centre {
	var out []Centre
	for _, c := range []struct {
		code          DataCenter
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
		out = append(out, Centre{c.code, "https://" + c.accounts, []string{
			"https://www." + c.api, "https://sandbox." + c.api, "https://developer." + c.api,
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
	for _, c := range Centres() {
		if DataCenter(strings.ToLower(s)) == c.Code || base == c.Accounts {
			return c.Code, nil
		}
	}
	return "", &bellwether.Error{
		Kind: bellwether.ErrInvalid, Op: "zoho data centre",
		Detail: "unknown data centre", Hint: "known are " + known(Centres()),
	}
}

// known lists the codes and accounts URLs for hints.
func known(centres []Centre) string {
	var names []string
	for _, c := range centres {
		names = append(names, fmt.Sprintf("%s (%s)", c.Code, c.Accounts))
	}
	return strings.Join(names, ", ")
}

// normal returns centres with every URL checked and in normal form.
func normal(centres []Centre, allowHTTP bool) ([]Centre, error) {
	var out []Centre
	for _, c := range centres {
		accounts, err := wire.Base(c.Accounts, allowHTTP)
		if err != nil {
			return nil, fmt.Errorf("accounts URL of %q: %w", c.Code, err)
		}
		n := Centre{Code: c.Code, Accounts: accounts}
		for _, api := range c.API {
			base, err := wire.Base(api, allowHTTP)
			if err != nil {
				return nil, fmt.Errorf("API URL of %q: %w", c.Code, err)
			}
			n.API = append(n.API, base)
		}
		twice := func(o Centre) bool { return o.Code == n.Code || o.Accounts == n.Accounts }
		switch {
		case c.Code == "":
			return nil, errors.New("a data centre without a code")
		case len(n.API) == 0:
			return nil, fmt.Errorf("data centre %q without an API URL", c.Code)
		case slices.ContainsFunc(out, twice):
			return nil, fmt.Errorf("data centre %q stands twice", c.Code)
		}
		out = append(out, n)
	}
	return out, nil
}
