package main

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/bellwether-go/bellwether"
)

// savesAtOnce is how many rows are looked at and saved at the same time.
const savesAtOnce = 16

// An importer saves the rows of a source. Its memory does not grow with their number.
type importer struct {
	store           bellwether.Store
	place           place
	keepIDs, dryRun bool
	tell            func(row sdkRow, why error) error // of a refused row, one at a time

	rows                                atomic.Int64 // read
	fresh, updated, same, past, refused atomic.Int64
	done                                atomic.Pointer[float64]
	telling                             sync.Mutex
}

// share is how much of the source was read, 0 to 1.
func (im *importer) share() float64 {
	if done := im.done.Load(); done != nil {
		return *done
	}
	return 0
}

// run imports every row of src. Rows of one id and user go one after the other.
func (im *importer) run(ctx context.Context, src source) error {
	g, ctx := errgroup.WithContext(ctx)
	seed := maphash.MakeSeed()
	var lanes [savesAtOnce]chan sdkRow
	for i := range lanes {
		lane := make(chan sdkRow)
		lanes[i] = lane
		g.Go(func() error {
			for row := range lane {
				if err := im.one(ctx, row); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer func() {
			for _, lane := range lanes {
				close(lane)
			}
		}()
		for row, err := range src.rows(ctx) {
			if err != nil {
				return err
			}
			im.rows.Add(1)
			im.done.Store(new(src.done()))
			select {
			case lanes[maphash.String(seed, im.turn(row))%savesAtOnce] <- row:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return g.Wait()
}

// turn is what rows that must not race have in common.
func (im *importer) turn(row sdkRow) string {
	if im.keepIDs {
		return row.columns[sdkID]
	}
	if user := row.columns[sdkUserName]; user != "" {
		return user
	}
	return row.columns[sdkRefreshToken] + row.columns[sdkGrantToken]
}

// one imports one row and counts what became of it. Its error ends the import.
func (im *importer) one(ctx context.Context, row sdkRow) error {
	t, err := im.token(row)
	var count *atomic.Int64
	if err == nil {
		count, err = im.save(ctx, t)
	}
	switch {
	case err == nil:
		count.Add(1)
		return nil
	case !concernsRow(err):
		return err
	}
	im.refused.Add(1)
	im.telling.Lock()
	defer im.telling.Unlock()
	return im.tell(row, err)
}

// concernsRow reports whether an error is about one row, so that the others may do better.
func concernsRow(err error) bool {
	for _, kind := range []error{bellwether.ErrInvalid, bellwether.ErrConflict, bellwether.ErrAmbiguous,
		bellwether.ErrUnreadable, bellwether.ErrRevoking} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func refuse(detail, hint string) error {
	return &bellwether.Error{Kind: bellwether.ErrInvalid, Detail: detail, Hint: hint}
}

// token returns what is to be saved of a row, or why it is refused.
func (im *importer) token(row sdkRow) (bellwether.Token, error) {
	t, problem := row.token()
	if problem == "" {
		t, problem = im.place.of(t)
	}
	if problem != "" {
		return t, refuse(problem, "")
	}
	if im.keepIDs {
		if t.ID = row.columns[sdkID]; t.ID == "" {
			return t, refuse("it has no id", "leave --keep-ids out")
		}
	}
	if err := t.Validate(); err != nil {
		return t, err
	}
	accessOnly := t.RefreshToken.IsZero() && t.GrantToken.IsZero() && (t.ClientID == "" || t.ClientSecret.IsZero())
	switch {
	case !t.HasCredential():
		return t, refuse("it holds no token and no client secret", "")
	case accessOnly && ended(t):
		return t, refuse("its access token has ended, and nothing in it makes another", "sign that user in again: bellwether add")
	case !im.keepIDs && !identifies(t):
		return t, refuse("it has no user name, no refresh token and no grant token, by which a second import would know it again",
			"give --keep-ids, or store it with bellwether add")
	}
	return t, nil
}

func ended(t bellwether.Token) bool { return !t.ExpiresAt.IsZero() && t.ExpiresAt.Before(time.Now()) }

// save stores t, or in a dry run says what that would do, and returns the count to raise.
func (im *importer) save(ctx context.Context, t bellwether.Token) (*atomic.Int64, error) {
	stored, err := im.find(ctx, t)
	missing := errors.Is(err, bellwether.ErrNotFound)
	if err != nil && !missing {
		return nil, err
	}
	given := t
	if !missing {
		if given, err = im.news(ctx, stored, t); err != nil {
			return nil, err
		}
		if next := stored.Merge(given); sameRow(next, stored) {
			im.countPast(t, stored)
			return &im.same, nil
		}
	}
	if im.dryRun {
		if err := im.unowned(ctx, t, stored.ID); err != nil {
			return nil, err
		}
	}
	switch {
	case im.dryRun && missing:
		return &im.fresh, nil
	case im.dryRun:
		return &im.updated, nil
	}
	saved, err := im.store.Save(ctx, given)
	switch {
	case err != nil:
		return nil, err
	case missing:
		return &im.fresh, nil
	case sameRow(saved, stored):
		im.countPast(t, saved)
		return &im.same, nil
	}
	return &im.updated, nil
}

// countPast counts a row whose refresh or grant token the store has superseded.
func (im *importer) countPast(t, stored bellwether.Token) {
	if !t.RefreshToken.IsZero() && !t.RefreshToken.Equal(stored.RefreshToken) || !t.GrantToken.IsZero() && !t.GrantToken.Equal(stored.GrantToken) {
		im.past.Add(1)
	}
}

// find returns the row that t is about. With the SDK's ids, a row of another id here is
// refused, and so is an id that stands for another user here.
func (im *importer) find(ctx context.Context, t bellwether.Token) (bellwether.Token, error) {
	byID := t
	t.ID = ""
	same, err := bellwether.Token{}, error(&bellwether.Error{Kind: bellwether.ErrNotFound})
	if identifies(t) {
		same, err = im.store.Find(ctx, t)
	}
	if !im.keepIDs || err != nil && !errors.Is(err, bellwether.ErrNotFound) {
		return same, err
	}
	conflict := func(detail string) error {
		return &bellwether.Error{Kind: bellwether.ErrConflict, Detail: detail, Hint: "leave --keep-ids out"}
	}
	if err == nil && same.ID != byID.ID {
		return same, conflict("its tokens are those of row " + printable(same.ID) + " here")
	}
	stored, missing := im.store.FindByID(ctx, byID.ID)
	if missing == nil && err != nil && (identifies(t) || !stored.AccessToken.Equal(t.AccessToken)) {
		return stored, conflict("its id is that of another user's row here")
	}
	return stored, missing
}

// identifies reports whether a row without an ID can be looked for by what t holds.
func identifies(t bellwether.Token) bool {
	return t.UserName != "" || !t.RefreshToken.IsZero() || !t.GrantToken.IsZero() ||
		!t.AccessToken.IsZero() && t.ClientID == "" && t.ClientSecret.IsZero()
}

// news returns t without what the stored row has left behind: a superseded refresh or
// grant token, and an access token that ends before the stored one. Save keeps the
// superseded out by itself; here a dry run learns of it.
func (im *importer) news(ctx context.Context, stored, t bellwether.Token) (bellwether.Token, error) {
	by := bellwether.Token{Provider: t.Provider, AccountsURL: t.AccountsURL, ClientID: t.ClientID}
	if r := t.RefreshToken; !r.IsZero() && !r.Equal(stored.RefreshToken) {
		by.RefreshToken, by.GrantToken = r, bellwether.Secret{}
		known, err := im.knows(ctx, by, stored.ID)
		if err != nil {
			return t, err
		}
		if known {
			t.RefreshToken = bellwether.Secret{}
		}
	}
	if g := t.GrantToken; !g.IsZero() && !g.Equal(stored.GrantToken) {
		by.RefreshToken, by.GrantToken = bellwether.Secret{}, g
		known, err := im.knows(ctx, by, stored.ID)
		if err != nil {
			return t, err
		}
		if known {
			t.GrantToken = bellwether.Secret{}
		}
	}
	newer := t.ExpiresAt.IsZero() || stored.ExpiresAt.IsZero() || t.ExpiresAt.After(stored.ExpiresAt)
	if !t.AccessToken.Equal(stored.AccessToken) && !stored.AccessToken.IsZero() && !stored.StartsLineage(t) && (!newer || ended(t)) {
		t = t.WithoutAccessToken()
	}
	return t, nil
}

// knows reports whether by finds the row id.
func (im *importer) knows(ctx context.Context, by bellwether.Token, id string) (bool, error) {
	found, err := im.store.Find(ctx, by)
	if errors.Is(err, bellwether.ErrNotFound) {
		return false, nil
	}
	return err == nil && found.ID == id, err
}

// unowned foresees the conflict of a Save whose refresh or grant token another row owns.
func (im *importer) unowned(ctx context.Context, t bellwether.Token, id string) error {
	for _, by := range []bellwether.Token{{RefreshToken: t.RefreshToken}, {GrantToken: t.GrantToken}} {
		if by.RefreshToken.IsZero() && by.GrantToken.IsZero() {
			continue
		}
		owner, err := im.store.Find(ctx, by)
		switch {
		case errors.Is(err, bellwether.ErrNotFound):
		case err != nil:
			return err
		case owner.ID != id:
			return &bellwether.Error{Kind: bellwether.ErrConflict, Detail: fmt.Sprintf("row %s here owns its refresh or grant token", printable(owner.ID))}
		}
	}
	return nil
}

// sameRow compares what an import can bring.
func sameRow(a, b bellwether.Token) bool {
	return sdkColumnsOf(a) == sdkColumnsOf(b) && a.Provider == b.Provider && a.AccountsURL == b.AccountsURL
}

// An importReport is the summary, as JSON prints it.
type importReport struct {
	Rows       int64 `json:"rows"`
	New        int64 `json:"new"`
	Updated    int64 `json:"updated"`
	Same       int64 `json:"same"`
	Superseded int64 `json:"superseded"` // of the same ones
	Refused    int64 `json:"refused"`
	DryRun     bool  `json:"dry_run,omitempty"`
	Complete   bool  `json:"complete"` // every row was looked at
}

// report prints the summary of a run that ended with failed.
func (im *importer) report(cmd *cobra.Command, s *settings, failed error) error {
	r := importReport{Rows: im.rows.Load(), New: im.fresh.Load(), Updated: im.updated.Load(), Same: im.same.Load(),
		Superseded: im.past.Load(), Refused: im.refused.Load(), DryRun: im.dryRun, Complete: failed == nil}
	if failed != nil { // a row that was read and not saved is none
		r.Rows = r.New + r.Updated + r.Same + r.Refused
	}
	var err error
	if s.json {
		err = writeJSON(cmd.OutOrStdout(), r)
	} else {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), r)
	}
	switch {
	case failed != nil:
		fmt.Fprintln(cmd.ErrOrStderr(), "bellwether: the import is not complete; run it again, and it goes on")
		return failed
	case err == nil && r.Refused > 0:
		return fmt.Errorf("%d of %s refused", r.Refused, rowsOf(r.Rows))
	}
	return err
}

func (r importReport) String() string {
	text := fmt.Sprintf("%s: %d new, %d updated, %d same, %d refused", rowsOf(r.Rows), r.New, r.Updated, r.Same, r.Refused)
	if r.Superseded > 0 {
		text += fmt.Sprintf("; %d of the same hold a token that is superseded here, which stays out", r.Superseded)
	}
	if r.DryRun {
		text += " (dry run: nothing was saved)"
	}
	return text
}

func rowsOf(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}
