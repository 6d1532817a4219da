package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellwether-go/bellwether"
)

// The columns of Zoho's SDKs, in the order in which they write them (README of each SDK,
// "Token Persistence").
const (
	sdkID = iota
	sdkUserName
	sdkClientID
	sdkClientSecret
	sdkRefreshToken
	sdkAccessToken
	sdkGrantToken
	sdkExpiry
	sdkRedirectURL
	sdkAPIDomain
	sdkColumnCount
)

var sdkColumnNames = [sdkColumnCount]string{"id", "user_name", "client_id", "client_secret", "refresh_token",
	"access_token", "grant_token", "expiry_time", "redirect_url", "api_domain"}

// sdkOtherNames are spellings of other SDKs and of older ones.
var sdkOtherNames = map[string]int{"redirect_uri": sdkRedirectURL, "user_mail": sdkUserName}

// sdkColumns are the texts of one row; blank is null.
type sdkColumns [sdkColumnCount]string

// An sdkRow is one row as a source has it.
type sdkRow struct {
	columns sdkColumns
	line    int    // of a file, from 1; 0 in a table
	problem string // why it is no row, without quoting it
}

// name says which row it is, for a reader. A line that does not parse is named by its
// place alone: what stands where the ID should be may be a secret.
func (r sdkRow) name() string {
	id := r.columns[sdkID]
	switch {
	case r.line > 0 && (r.problem != "" || !isSDKID(id)):
		return "line " + strconv.Itoa(r.line)
	case r.line > 0:
		return "row " + id + " (line " + strconv.Itoa(r.line) + ")"
	case id == "":
		return "a row without an id"
	}
	return "row " + printable(id)
}

// isSDKID reports whether an SDK can count on from this ID: its column is varchar(10).
func isSDKID(id string) bool {
	return id != "" && len(id) <= 10 && strings.Trim(id, "0123456789") == ""
}

// sdkColumnAt returns the place of each column among names, -1 where it is missing.
// problem says why these are not the SDKs' columns; api_domain is younger than the others.
func sdkColumnAt(names []string) (at [sdkColumnCount]int, problem string) {
	for i := range at {
		at[i] = -1
	}
	for i, name := range names {
		col, other := sdkOtherNames[name]
		if !other {
			col = slices.Index(sdkColumnNames[:], name)
		}
		if col < 0 {
			continue
		}
		if at[col] >= 0 {
			return at, "there are two columns " + sdkColumnNames[col]
		}
		at[col] = i
	}
	for col, i := range at {
		if i < 0 && col != sdkAPIDomain {
			return at, "there is no column " + sdkColumnNames[col]
		}
	}
	return at, ""
}

// token returns the row as a token without an ID, or why it is none.
func (r sdkRow) token() (t bellwether.Token, problem string) {
	if r.problem != "" {
		return t, r.problem
	}
	c := r.columns
	t = bellwether.Token{
		UserName: c[sdkUserName], ClientID: c[sdkClientID], ClientSecret: bellwether.NewSecret(c[sdkClientSecret]),
		RefreshToken: bellwether.NewSecret(c[sdkRefreshToken]), AccessToken: bellwether.NewSecret(c[sdkAccessToken]),
		GrantToken: bellwether.NewSecret(c[sdkGrantToken]), RedirectURL: c[sdkRedirectURL], APIDomain: c[sdkAPIDomain],
	}
	if text := c[sdkExpiry]; text != "" && !t.AccessToken.IsZero() {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return t, "its expiry_time is not a number of milliseconds"
		}
		t.ExpiresAt = time.UnixMilli(ms).UTC()
	}
	return t, ""
}

// sdkColumnsOf returns what the SDKs' columns hold of t.
func sdkColumnsOf(t bellwether.Token) sdkColumns {
	c := sdkColumns{
		sdkID: t.ID, sdkUserName: t.UserName, sdkClientID: t.ClientID, sdkClientSecret: t.ClientSecret.Reveal(),
		sdkRefreshToken: t.RefreshToken.Reveal(), sdkAccessToken: t.AccessToken.Reveal(), sdkGrantToken: t.GrantToken.Reveal(),
		sdkRedirectURL: t.RedirectURL, sdkAPIDomain: t.APIDomain,
	}
	if !t.ExpiresAt.IsZero() {
		c[sdkExpiry] = strconv.FormatInt(t.ExpiresAt.UnixMilli(), 10)
	}
	return c
}
