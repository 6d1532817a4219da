package providerfile

import (
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/oauth"
	"github.com/bellwether-go/bellwether/provider/zoho"
)

const (
	kindOAuth = "oauth"
	kindZoho  = "zoho"
)

// duration is written as "90s" or "10m".
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = duration(v)
	return err
}

// oauthJSON is oauth.Config in the file; see there for what each means.
type oauthJSON struct {
	Kind           string              `json:"kind,omitempty"`
	Name           string              `json:"name"`
	TokenURL       string              `json:"token_url"`
	RevokeURL      string              `json:"revoke_url,omitempty"`
	AllowHTTP      bool                `json:"allow_http,omitempty"`
	AuthStyle      oauth.AuthStyle     `json:"auth_style,omitempty"`
	BodyFormat     oauth.BodyFormat    `json:"body_format,omitempty"`
	Scopes         []string            `json:"scopes,omitempty"`
	ScopeSeparator string              `json:"scope_separator,omitempty"`
	Params         map[string]string   `json:"params,omitempty"`
	Errors         map[string]ruleJSON `json:"errors,omitempty"`
	ErrorFields    []string            `json:"error_fields,omitempty"`
	TokenField     string              `json:"token_field,omitempty"`
	APIDomainField string              `json:"api_domain_field,omitempty"`
	RejectCodes    []string            `json:"reject_codes,omitempty"`
	Rotation       bellwether.Rotation `json:"rotation,omitempty"`
	Grace          duration            `json:"grace,omitzero"`
	Quotas         []quotaJSON         `json:"quotas,omitempty"`
	HeaderScheme   string              `json:"header_scheme,omitempty"`
	DefaultLife    duration            `json:"default_life,omitzero"`
}

type ruleJSON struct {
	Class      bellwether.Class   `json:"class"`
	Concern    bellwether.Concern `json:"concern,omitempty"`
	RetryAfter duration           `json:"retry_after,omitzero"`
	Hint       string             `json:"hint,omitempty"`
}

type quotaJSON struct {
	N   int      `json:"n"`
	Per duration `json:"per"`
}

// zohoJSON is zoho.Config in the file. Its endpoints come on top of Zoho's own and
// replace those of the same data centre.
type zohoJSON struct {
	Kind      string          `json:"kind"`
	Name      string          `json:"name,omitempty"`
	Home      zoho.DataCenter `json:"home,omitempty"`
	Endpoints []endpointsJSON `json:"endpoints,omitempty"`
	Scopes    []string        `json:"scopes,omitempty"`
	SOID      string          `json:"soid,omitempty"`
	AllowHTTP bool            `json:"allow_http,omitempty"`
}

type endpointsJSON struct {
	DataCenter zoho.DataCenter `json:"data_center"`
	Accounts   string          `json:"accounts"`
	API        []string        `json:"api"`
}

func (j oauthJSON) config() *oauth.Config {
	c := &oauth.Config{
		Name: j.Name, TokenURL: j.TokenURL, RevokeURL: j.RevokeURL, AllowHTTP: j.AllowHTTP,
		AuthStyle: j.AuthStyle, BodyFormat: j.BodyFormat,
		Scopes: j.Scopes, ScopeSeparator: j.ScopeSeparator, Params: j.Params,
		ErrorFields: j.ErrorFields, TokenField: j.TokenField, APIDomainField: j.APIDomainField,
		RejectCodes: j.RejectCodes, Rotation: j.Rotation, Grace: time.Duration(j.Grace),
		HeaderScheme: j.HeaderScheme, DefaultLife: time.Duration(j.DefaultLife),
	}
	for code, r := range j.Errors {
		if c.Errors == nil {
			c.Errors = make(map[string]oauth.Rule)
		}
		c.Errors[code] = oauth.Rule{Class: r.Class, Concern: r.Concern, RetryAfter: time.Duration(r.RetryAfter), Hint: r.Hint}
	}
	for _, q := range j.Quotas {
		c.Quotas = append(c.Quotas, bellwether.Quota{N: q.N, Per: time.Duration(q.Per)})
	}
	return c
}

func (j zohoJSON) config() *zoho.Config {
	c := &zoho.Config{Name: j.Name, Home: j.Home, Scopes: j.Scopes, SOID: j.SOID, AllowHTTP: j.AllowHTTP}
	if len(j.Endpoints) == 0 {
		return c
	}
	given := make(map[zoho.DataCenter]bool)
	for _, e := range j.Endpoints {
		given[e.DataCenter] = true
		c.Endpoints = append(c.Endpoints, zoho.Endpoints(e))
	}
	for _, own := range zoho.DefaultEndpoints() {
		if !given[own.DataCenter] {
			c.Endpoints = append(c.Endpoints, own)
		}
	}
	return c
}

// json is the inverse of config.
func (e Entry) json() any {
	if e.OAuth == nil {
		return e.zohoJSON()
	}
	c := e.OAuth
	j := oauthJSON{
		Name: c.Name, TokenURL: c.TokenURL, RevokeURL: c.RevokeURL, AllowHTTP: c.AllowHTTP,
		AuthStyle: c.AuthStyle, BodyFormat: c.BodyFormat,
		Scopes: c.Scopes, ScopeSeparator: c.ScopeSeparator, Params: c.Params,
		ErrorFields: c.ErrorFields, TokenField: c.TokenField, APIDomainField: c.APIDomainField,
		RejectCodes: c.RejectCodes, Rotation: c.Rotation, Grace: duration(c.Grace),
		HeaderScheme: c.HeaderScheme, DefaultLife: duration(c.DefaultLife),
	}
	for code, r := range c.Errors {
		if j.Errors == nil {
			j.Errors = make(map[string]ruleJSON)
		}
		j.Errors[code] = ruleJSON{Class: r.Class, Concern: r.Concern, RetryAfter: duration(r.RetryAfter), Hint: r.Hint}
	}
	for _, q := range c.Quotas {
		j.Quotas = append(j.Quotas, quotaJSON{N: q.N, Per: duration(q.Per)})
	}
	return j
}

func (e Entry) zohoJSON() zohoJSON {
	c := e.Zoho
	j := zohoJSON{Kind: kindZoho, Name: c.Name, Home: c.Home, Scopes: c.Scopes, SOID: c.SOID, AllowHTTP: c.AllowHTTP}
	for _, e := range c.Endpoints {
		j.Endpoints = append(j.Endpoints, endpointsJSON(e))
	}
	return j
}
