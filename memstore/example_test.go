package memstore_test

import (
	"context"
	"fmt"
	"log"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/memstore"
)

// A replica boots with the refresh token of its environment. The row has rotated since;
// the old token finds it and does not come back.
func Example() {
	ctx := context.Background()
	store := memstore.New()
	boot := bellwether.Token{UserName: "bot", RefreshToken: bellwether.NewSecret("first")}
	row, err := store.Save(ctx, boot)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := store.Save(ctx, bellwether.Token{ID: row.ID, RefreshToken: bellwether.NewSecret("second")}); err != nil {
		log.Fatal(err)
	}

	again, err := store.Save(ctx, boot)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.ID == row.ID, again.RefreshToken.Reveal())
	fmt.Println(again.RefreshToken)
	// Output:
	// true second
	// [redacted]
}
