package seal_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/bellwether-go/bellwether/seal"
)

// A sealing key is rotated in two steps, with a rollout of the file after each.
func Example_rotation() {
	dir, err := os.MkdirTemp("", "seal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "keyset.json")
	if _, err := seal.Create(path); err != nil {
		log.Fatal(err)
	}

	// Step one: a key that every replica can open with.
	var id uint32
	keys, err := seal.Update(path, func(k *seal.Keys) (err error) {
		id, err = k.Add()
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	show(keys)

	// Step two, once each replica has the new file: seal with it.
	keys, err = seal.Update(path, func(k *seal.Keys) error { return k.Promote(id) })
	if err != nil {
		log.Fatal(err)
	}
	show(keys)
	// Output:
	// primary enabled
	// enabled primary
}

func show(keys *seal.Keys) {
	list := keys.List()
	fmt.Println(list[0].Status, list[1].Status)
}
