// Package customstore is a bellwether.Store as a third party writes one: a journal in a
// file, one write a line, synced before the write returns. The rows, and the rules of Find
// and Save, are those of a memstore, into which Open reads the journal. The file is in
// clear and grows with every write; one process at a time may open it.
package customstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"sync"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/memstore"
)

// A Store is a bellwether.Store, safe for concurrent use. After a write that the file did
// not take it serves what is in memory, and takes no other write.
type Store struct {
	reader // of rows
	mu     sync.Mutex
	rows   *memstore.Store
	file   *os.File
	failed error
}

var _ bellwether.Store = (*Store)(nil)

type reader interface {
	Find(context.Context, bellwether.Token) (bellwether.Token, error)
	FindByID(context.Context, string) (bellwether.Token, error)
	List(context.Context) iter.Seq2[bellwether.Token, error]
}

// A line is one write; with neither Row nor Deleted it is a DeleteAll. A Secret encodes as
// "[redacted]", so that the texts of a row's secrets stand beside it.
type line struct {
	Row     bellwether.Token
	Secrets [4]string
	Extra   map[string]string
	Deleted string // an ID
}

// Open reads the journal at path, and makes it when it is missing. What a crash has cut
// off at its end was never acknowledged.
func Open(path string) (*Store, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	rows := memstore.New()
	for lines := json.NewDecoder(f); err == nil; {
		l, end := line{}, lines.InputOffset()
		if err = lines.Decode(&l); err == nil {
			err = replay(rows, l)
		} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return &Store{reader: rows, rows: rows, file: f}, f.Truncate(end)
		}
	}
	return nil, errors.Join(err, f.Close())
}

// replay does again what a line says. Swap writes a row as it is given, and its past: the
// same Cred is the same sign-in, another one a new sign-in.
func replay(rows *memstore.Store, l line) error {
	ctx, s := context.Background(), bellwether.NewSecret
	switch {
	case l.Deleted != "":
		return rows.Delete(ctx, l.Deleted)
	case l.Row.ID == "":
		return rows.DeleteAll(ctx)
	}
	t := l.Row
	t.ClientSecret, t.GrantToken, t.RefreshToken, t.AccessToken = s(l.Secrets[0]), s(l.Secrets[1]), s(l.Secrets[2]), s(l.Secrets[3])
	t.Extra = make(map[string]bellwether.Secret)
	for k, v := range l.Extra {
		t.Extra[k] = s(v)
	}
	old, _ := rows.Record(ctx, t.ID) // the zero Record where there is none
	cred := old.Cred
	if cred == "" || old.Token.StartsLineage(t) {
		cred = rand.Text()
	}
	_, err := rows.Swap(ctx, old.Version, bellwether.Record{Token: t, Cred: cred})
	return err
}

// write makes one change of the rows, and writes the line that tells of it.
func (s *Store) write(change func() (line, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	l, err := change()
	if err != nil {
		return err
	}
	if err := errors.Join(json.NewEncoder(s.file).Encode(l), s.file.Sync()); err != nil {
		s.failed = &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "write", Err: err, Hint: "open the store again"}
	}
	return s.failed
}

// Save implements bellwether.Store.
func (s *Store) Save(ctx context.Context, given bellwether.Token) (saved bellwether.Token, err error) {
	err = s.write(func() (l line, err error) {
		if saved, err = s.rows.Save(ctx, given); err != nil {
			return l, err
		}
		t, none := saved, bellwether.Secret{}
		l.Secrets = [4]string{t.ClientSecret.Reveal(), t.GrantToken.Reveal(), t.RefreshToken.Reveal(), t.AccessToken.Reveal()}
		l.Extra = make(map[string]string)
		for k, v := range t.Extra {
			l.Extra[k] = v.Reveal()
		}
		t.ClientSecret, t.GrantToken, t.RefreshToken, t.AccessToken, t.Extra = none, none, none, none, nil
		l.Row = t
		return l, nil
	})
	return saved, err
}

// Delete implements bellwether.Store.
func (s *Store) Delete(ctx context.Context, id string) error {
	return s.write(func() (line, error) { return line{Deleted: id}, s.rows.Delete(ctx, id) })
}

// DeleteAll implements bellwether.Store.
func (s *Store) DeleteAll(ctx context.Context) error {
	return s.write(func() (line, error) { return line{}, s.rows.DeleteAll(ctx) })
}

// Close closes the file.
func (s *Store) Close() error { return s.file.Close() }
