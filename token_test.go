package bellwether_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
)

func TestCloneSharesNothing(t *testing.T) {
	orig := full(t)
	c := orig.Clone()
	if d := cmp.Diff(orig, c); d != "" {
		t.Fatalf("(-original +clone)\n%s", d)
	}
	c.Scopes[0] = "changed"
	c.Extra["id_token"] = secret("changed")
	c.Failure.Count = 99
	if d := cmp.Diff(full(t), orig); d != "" {
		t.Errorf("a change of the clone reached the original:\n%s", d)
	}
	if c := (bellwether.Token{}).Clone(); c.Scopes != nil || c.Extra != nil || c.Failure != nil {
		t.Errorf("the clone of a blank token is %#v", c)
	}
}

func TestHasCredential(t *testing.T) {
	type tok = bellwether.Token
	tests := []struct {
		name string
		tok  tok
		want bool
	}{
		{"blank", tok{}, false},
		{"access token", tok{AccessToken: secret("a")}, true},
		{"refresh token", tok{RefreshToken: secret("r")}, true},
		{"grant token", tok{GrantToken: secret("g")}, true},
		{"client credentials", tok{ClientID: "c", ClientSecret: secret("s")}, true},
		{"client id alone", tok{ClientID: "c"}, false},
		{"client secret alone", tok{ClientSecret: secret("s")}, false},
		{"names and extras", tok{ID: "i", UserName: "u", Provider: "p", Extra: map[string]bellwether.Secret{"id_token": secret("x")}}, false},
	}
	for _, tt := range tests {
		if got := tt.tok.HasCredential(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
