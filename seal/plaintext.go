package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"github.com/bellwether-go/bellwether"
)

// Plaintext PROTECTS NOTHING. Tokens are stored in clear behind a mark, and the key
// of its digests is public, so that whoever reads the store reads every token and can
// change it. It is for development, where --insecure-plaintext asks for it by name.
//
// A checksum finds damaged and misplaced values, as a Sealer must; it stops nobody.
// A store written by Plaintext cannot be opened by Keys, nor the other way round.
type Plaintext struct{}

var _ bellwether.Sealer = Plaintext{}

// plaintextMark starts with a byte that no sealed text has.
const plaintextMark = "plaintext:"

const checksumSize = 8

var publicIndexKey = newIndexKey([]byte("bellwether plaintext: a key that all know"))

func isPlaintext(b []byte) bool { return bytes.HasPrefix(b, []byte(plaintextMark)) }

func checksum(plaintext, aad []byte) []byte {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(aad))))
	h.Write(aad)
	h.Write(plaintext)
	return h.Sum(nil)[:checksumSize]
}

// Seal implements bellwether.Sealer. It encrypts nothing.
func (Plaintext) Seal(plaintext, aad []byte) ([]byte, error) {
	b := make([]byte, 0, len(plaintextMark)+checksumSize+len(plaintext))
	b = append(b, plaintextMark...)
	b = append(b, checksum(plaintext, aad)...)
	return append(b, plaintext...), nil
}

// Open implements bellwether.Sealer.
func (Plaintext) Open(ciphertext, aad []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(ciphertext, []byte(plaintextMark))
	if !ok {
		if _, sealed := keyID(ciphertext); sealed {
			return nil, unreadable("it is sealed", "open this store with its keyset, not as plaintext")
		}
	}
	if !ok || len(rest) < checksumSize {
		return nil, unreadable("it is not what plaintext storage writes", "it was cut, damaged or written by something else; save the token again")
	}
	sum, plaintext := rest[:checksumSize], rest[checksumSize:]
	if !bytes.Equal(sum, checksum(plaintext, aad)) {
		return nil, unreadable("its checksum is wrong", "it was damaged or moved from another row; save the token again")
	}
	return bytes.Clone(plaintext), nil
}

// MAC implements bellwether.Sealer under a public key.
func (Plaintext) MAC(parts ...string) []byte { return publicIndexKey.mac(parts) }

// Fingerprint implements bellwether.Sealer.
func (Plaintext) Fingerprint() string { return "plaintext" }
