package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/oauth"
	"github.com/bellwether-go/bellwether/provider/providerfile"
	"github.com/bellwether-go/bellwether/provider/zoho"
	"github.com/bellwether-go/bellwether/refresh"
)

// addFlags are the flags of add: the row to be.
type addFlags struct {
	row       bellwether.Token
	dc        string
	soid      string
	check     bool
	describe  providerFlags
	secret    secretFlag
	refresh   secretFlag
	code      secretFlag
	challenge secretFlag
}

func newAdd(s *settings) *cobra.Command {
	a := &addFlags{
		secret:    secretFlag{name: "client-secret", what: "client secret"},
		refresh:   secretFlag{name: "refresh-token", what: "refresh token"},
		code:      secretFlag{name: "grant-code", what: "grant code"},
		challenge: secretFlag{name: "code-verifier", what: "code verifier"},
	}
	cmd := &cobra.Command{
		Use:   "add --provider NAME --client-id ID [flags]",
		Short: "Store a token, or the sign-in it is made from",
		Long: `add stores the OAuth credentials of one user or client and prints the ID of the row.
A row of the same user (or refresh token) is updated, so the command also repairs a
token that needs a new sign-in.

What can be stored: a refresh token; a grant code of a sign-in, which is exchanged at
once, since it lives for minutes; or client id and secret alone, for client credentials.

Secrets are never the value of a flag, where others could see them: --…-file names a file,
or "-" for standard input. Several from standard input are one a line, in this order:
client secret, refresh token, grant code, code verifier.

Providers: zoho needs --dc and nothing else. Any other provider is described in a JSON
file (--providers or $` + envProviders + `), which all services of the fleet share, since
a later refresh has to know the token URL and how the provider treats a used refresh token:

  {"providers": [{"name": "crm", "token_url": "https://login.example.com/oauth/token",
                  "auth_style": "basic", "rotation": "reusable"}]}

With --token-url, add writes this description into the file itself. All keys are listed
in package provider/providerfile.`,
		Example: `  bellwether add --provider zoho --dc eu --client-id 1000.ABC --user bot@example.com \
      --client-secret-file secret.txt --grant-code-file -
  bellwether add --provider crm --token-url https://login.example.com/oauth/token --auth-style basic \
      --client-id web --client-secret-file secret.txt --refresh-token-file token.txt --user ann`,
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return a.run(cmd, s) },
	}
	f := cmd.Flags()
	f.StringVar(&a.row.Provider, "provider", "", "`name` of the provider: zoho, or one of the providers file")
	f.StringVar(&a.dc, "dc", "", "Zoho's data `centre`: us, eu, in, au, cn, jp, ca, sa, uk, or its accounts URL")
	f.StringVar(&a.row.ClientID, "client-id", "", "client `id` of the OAuth application")
	f.StringVar(&a.row.UserName, "user", "", "`name` of the user that the token belongs to; get and others accept it")
	f.StringVar(&a.row.ID, "id", "", "`id` of the row (default: a new one)")
	f.StringSliceVar(&a.row.Scopes, "scope", nil, "`scopes`, for client credentials")
	f.StringVar(&a.row.RedirectURL, "redirect-url", "", "redirect `URL` of the sign-in that gave the grant code; none for a self client")
	f.StringVar(&a.row.APIDomain, "api-domain", "", "base `URL` of the API, where the provider does not tell it")
	f.StringVar(&a.soid, "soid", "", "Zoho's `organisation` for client credentials, like ZohoCRM.60001")
	f.BoolVar(&a.check, "check", false, "get an access token at once, to see that the credentials are right")
	a.secret.register(cmd, "the client secret")
	a.refresh.register(cmd, "the refresh token")
	a.code.register(cmd, "the grant code (authorization code) of a sign-in")
	a.challenge.register(cmd, "the PKCE verifier of the grant code")
	a.describe.register(cmd)
	_ = cmd.RegisterFlagCompletionFunc("provider", s.completeProviders)
	_ = cmd.RegisterFlagCompletionFunc("dc", completeDataCenters)
	return cmd
}

func (a *addFlags) run(cmd *cobra.Command, s *settings) error {
	switch {
	case a.row.Provider == "":
		return &usageError{"no provider is named", "give --provider zoho, or a name of the providers file; see bellwether add --help"}
	case a.row.ClientID == "":
		return &usageError{"no client id is given", "give --client-id, from the OAuth application's page at the provider"}
	}
	if err := s.ready(); err != nil { // before secrets are asked for and files written
		return err
	}
	file, entry, err := a.describe.entry(cmd, s, a.row.Provider)
	if err != nil {
		return err
	}
	if err := a.fill(cmd, entry); err != nil {
		return err
	}
	if err := checkRow(file, a.row); err != nil {
		return err
	}
	if err := a.describe.write(s, file); err != nil {
		return err
	}
	return s.withRefresher(cmd, func(store refresh.Backend, r *refresh.Refresher) error {
		t, err := store.Save(cmd.Context(), a.row)
		if err != nil {
			return a.conflict(err)
		}
		return a.report(cmd, s, store, r, t)
	})
}

// fill completes the row from what is no plain flag.
func (a *addFlags) fill(cmd *cobra.Command, entry providerfile.Entry) error {
	if entry.Zoho != nil {
		url, err := accountsURL(entry.Zoho, a.dc)
		if err != nil {
			return err
		}
		a.row.AccountsURL = url
	} else if a.dc != "" {
		return &usageError{"--dc is for Zoho", "the token URL of " + entry.Name() + " stands in the providers file"}
	}
	secrets, err := readSecrets(cmd, &a.secret, &a.refresh, &a.code, &a.challenge)
	if err != nil {
		return err
	}
	a.row.ClientSecret, a.row.RefreshToken, a.row.GrantToken = secrets[0], secrets[1], secrets[2]
	a.row.Extra = map[string]bellwether.Secret{
		oauth.ExtraCodeVerifier: secrets[3],
		zoho.ExtraSOID:          bellwether.NewSecret(a.soid),
	}
	if !a.row.RefreshToken.IsZero() && !a.row.GrantToken.IsZero() {
		return &usageError{"a refresh token and a grant code are given", "give one of them: the grant code brings its own refresh token"}
	}
	return nil
}

// checkRow asks the provider, which does no I/O, whether it could work with the row.
func checkRow(file providerfile.File, t bellwether.Token) error {
	if err := t.Validate(); err != nil {
		return err
	}
	p, err := providerOf(file, t)
	if err != nil {
		return err
	}
	_, err = p.Request(t)
	return err
}

// conflict leaves the ID out of a conflict when the command line gave none: it is that
// of a row that was never made. The one that counts is in the detail.
func (a *addFlags) conflict(err error) error {
	e, ok := errors.AsType[*bellwether.Error](err)
	if !ok || e.Kind != bellwether.ErrConflict || a.row.ID != "" {
		return err
	}
	c := *e
	c.ID = ""
	return &c
}

// report exchanges a grant code, or checks the credentials when asked to, and tells
// what is stored.
func (a *addFlags) report(cmd *cobra.Command, s *settings, store refresh.Backend, r *refresh.Refresher, t bellwether.Token) error {
	var failed error
	if a.check || !t.GrantToken.IsZero() {
		if _, failed = r.Get(cmd.Context(), t.ID, refresh.Want{}); failed == nil {
			var err error
			if t, err = store.FindByID(cmd.Context(), t.ID); err != nil {
				return err
			}
		}
	}
	if s.json {
		if err := writeJSON(cmd.OutOrStdout(), newRow(t)); err != nil {
			return errors.Join(failed, err)
		}
	} else if _, err := fmt.Fprintln(cmd.OutOrStdout(), printable(t.ID)); err != nil {
		return errors.Join(failed, err)
	}
	switch {
	case failed != nil:
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is stored, but gives no access token yet; repeat add with what was wrong.\n", describe(t))
	case t.AccessToken.IsZero():
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is stored; the first get fetches an access token.\n", describe(t))
	default:
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is stored and works; the access token ends %s.\n", describe(t), endOf(t))
	}
	return failed
}

func endOf(t bellwether.Token) string {
	if t.ExpiresAt.IsZero() {
		return "at a time that the provider does not tell"
	}
	return when(t.ExpiresAt, time.Now())
}
