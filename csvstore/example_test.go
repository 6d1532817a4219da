package csvstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/csvstore"
)

// A file of Zoho's Node SDK is read, and what is saved stands where the SDK reads it.
func Example() {
	dir, err := os.MkdirTemp("", "csvstore")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "sdk_tokens.txt")
	sdk := "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,expiry_time,redirect_url,api_domain\n" +
		"1,ada@example.com:7,1000.C,s,1000.r,1000.a,,1767225600000,,https://www.zohoapis.eu"
	if err := os.WriteFile(path, []byte(sdk), 0o600); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	store, err := csvstore.Open(path, csvstore.Config{Dialect: csvstore.Node})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	t, err := store.Find(ctx, bellwether.Token{UserName: "ada@example.com:7"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(t.ID, t.APIDomain, t.ExpiresAt)
	if _, err := store.Save(ctx, bellwether.Token{ID: t.ID, AccessToken: bellwether.NewSecret("1000.b")}); err != nil {
		log.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	_, row, _ := strings.Cut(string(content), "\n")
	fmt.Println(row)
	// Output:
	// 1 https://www.zohoapis.eu 2026-01-01 00:00:00 +0000 UTC
	// 1,ada@example.com:7,1000.C,s,1000.r,1000.b,,,,https://www.zohoapis.eu
}
