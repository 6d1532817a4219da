package csvstore

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/rules"
)

// columnsOf returns t as an SDK keeps it. What the ten columns lack is in the sidecar.
func columnsOf(t bellwether.Token) [columnCount]string {
	c := [columnCount]string{
		colID: t.ID, colUserName: t.UserName, colClientID: t.ClientID, colClientSecret: t.ClientSecret.Reveal(),
		colRefreshToken: t.RefreshToken.Reveal(), colAccessToken: t.AccessToken.Reveal(), colGrantToken: t.GrantToken.Reveal(),
		colRedirectURL: t.RedirectURL, colAPIDomain: t.APIDomain,
	}
	if !t.ExpiresAt.IsZero() {
		c[colExpiry] = strconv.FormatInt(t.ExpiresAt.UnixMilli(), 10)
	}
	return c
}

// tokenOf returns the columns of a line as a token, or why they are none.
func tokenOf(c [columnCount]string) (t bellwether.Token, problem string) {
	t = bellwether.Token{
		ID: c[colID], UserName: c[colUserName], ClientID: c[colClientID], ClientSecret: bellwether.NewSecret(c[colClientSecret]),
		RefreshToken: bellwether.NewSecret(c[colRefreshToken]), AccessToken: bellwether.NewSecret(c[colAccessToken]),
		GrantToken: bellwether.NewSecret(c[colGrantToken]), RedirectURL: c[colRedirectURL], APIDomain: c[colAPIDomain],
	}
	if t.ID == "" {
		return t, "it has no id"
	}
	if text := c[colExpiry]; text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return t, "its expiry_time is not a number of milliseconds"
		}
		t.ExpiresAt = time.UnixMilli(ms).UTC()
	}
	if err := t.Validate(); err != nil {
		return t, fmt.Sprintf("it holds what no token can hold (%v)", err)
	}
	if t.AccessToken.IsZero() {
		t.ExpiresAt = time.Time{}
	}
	return t, ""
}

// columns returns the ten columns of a line.
func (t *table) columnsOf(r *record) [columnCount]string {
	var c [columnCount]string
	for col := range c {
		c[col] = t.get(r, col)
	}
	return c
}

// digest tells a line that this store has written from one of another program. It is over
// the values, so that an SDK of another dialect may rewrite the line.
func digest(c [columnCount]string) rules.Key {
	h := sha256.New()
	for _, v := range c {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(v))))
		h.Write([]byte(v))
	}
	return rules.Key(h.Sum(nil)[:len(rules.Key{})])
}

// number returns an ID as the SDKs make them; 0 when it is another text.
func number(id string) int64 {
	if len(id) > 18 || strings.Trim(id, "0123456789") != "" {
		return 0
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
