package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/oauth"
	"github.com/bellwether-go/bellwether/provider/providerfile"
	"github.com/bellwether-go/bellwether/provider/zoho"
)

// providerFlags describe a provider that the providers file does not know yet.
type providerFlags struct {
	tokenURL, revokeURL, authStyle, rotation, headerScheme string

	grace     time.Duration
	allowHTTP bool
	changed   bool // the file must be written
}

// describing are the flags by which add describes a provider.
var describing = []string{"token-url", "revoke-url", "auth-style", "rotation", "grace", "header-scheme", "allow-http"}

func (p *providerFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.tokenURL, "token-url", "", "token `URL` of a new provider, to be written into the providers file")
	f.StringVar(&p.revokeURL, "revoke-url", "", "its revocation `URL` (RFC 7009)")
	f.StringVar(&p.authStyle, "auth-style", "", "`how` its clients prove who they are: params (the default) or basic")
	f.StringVar(&p.rotation, "rotation", "", "`what` it does with a used refresh token: strict (the default, always safe), reusable, grace, until_successor_used")
	f.DurationVar(&p.grace, "grace", 0, "with --rotation grace, how long a used refresh token stays usable")
	f.StringVar(&p.headerScheme, "header-scheme", "", "`word` that its APIs want before the token (default \"Bearer\")")
	f.BoolVar(&p.allowHTTP, "allow-http", false, "talk to it without TLS, for tests on loopback")
	for flag, values := range map[string][]cobra.Completion{
		"auth-style": {string(oauth.AuthParams), string(oauth.AuthBasic)},
		"rotation": {
			string(bellwether.RotationStrict), string(bellwether.RotationReusable),
			string(bellwether.RotationGrace), string(bellwether.RotationUntilSuccessorUsed),
		},
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// given names the describing flags on the command line.
func (p *providerFlags) given(cmd *cobra.Command) []string {
	var out []string
	for _, name := range describing {
		if cmd.Flags().Changed(name) {
			out = append(out, "--"+name)
		}
	}
	return out
}

// entry returns the entry of the provider name and the file that holds it. Flags may
// describe a provider that is not there yet; they never change one that is.
func (p *providerFlags) entry(cmd *cobra.Command, s *settings, name string) (providerfile.File, providerfile.Entry, error) {
	none := providerfile.Entry{}
	given := p.given(cmd)
	var file providerfile.File
	if path := s.providersPath(); p.tokenURL == "" || !isMissing(path) { // else it is about to be made
		var err error
		if file, err = s.readProviders(); err != nil {
			return file, none, err
		}
	}
	entry, known := file.Lookup(name)
	switch {
	case known && len(given) == 0:
		return file, entry, nil
	case known:
		return file, entry, p.same(entry, given)
	case p.tokenURL == "":
		return file, none, unknownProvider(file, name)
	case s.providersPath() == "":
		return file, none, &usageError{"--token-url describes a provider, and a later refresh has to find the description",
			"name a file for it with --providers or $" + envProviders + "; it is made when it does not exist"}
	}
	if !p.allowHTTP && strings.HasPrefix(strings.ToLower(p.tokenURL), "http://") {
		return file, none, &usageError{"--token-url is not https", "on loopback give --allow-http"}
	}
	entry = p.describe(providerfile.Entry{OAuth: &oauth.Config{Name: name}}, given)
	file.Entries = append(file.Entries, entry)
	data, err := file.Encode()
	if err != nil {
		return file, none, err
	}
	p.changed = true
	file, err = providerfile.Parse(data) // checks the new entry
	return file, entry, err
}

// describe returns the entry with the given flags laid over it.
func (p *providerFlags) describe(e providerfile.Entry, given []string) providerfile.Entry {
	c := *e.OAuth
	for _, flag := range given {
		switch flag {
		case "--token-url":
			c.TokenURL = p.tokenURL
		case "--revoke-url":
			c.RevokeURL = p.revokeURL
		case "--auth-style":
			c.AuthStyle = oauth.AuthStyle(p.authStyle)
		case "--rotation":
			c.Rotation = bellwether.Rotation(p.rotation)
		case "--grace":
			c.Grace = p.grace
		case "--header-scheme":
			c.HeaderScheme = p.headerScheme
		case "--allow-http":
			c.AllowHTTP = p.allowHTTP
		}
	}
	return providerfile.Entry{OAuth: &c}
}

// same returns nil when the flags say of a known provider what its entry says, else
// an error that names those that do not.
func (p *providerFlags) same(e providerfile.Entry, given []string) error {
	have, err := providerfile.File{Entries: []providerfile.Entry{e}}.Encode()
	if err != nil {
		return err
	}
	var differing []string
	for _, flag := range given {
		if e.OAuth == nil { // none of the flags is about Zoho
			differing = append(differing, flag)
			continue
		}
		want, err := providerfile.File{Entries: []providerfile.Entry{p.describe(e, []string{flag})}}.Encode()
		if err != nil {
			return err
		}
		if !bytes.Equal(have, want) {
			differing = append(differing, flag)
		}
	}
	if len(differing) == 0 {
		return nil
	}
	return &usageError{fmt.Sprintf("provider %s is described already, and differs in %s", e.Name(), strings.Join(differing, ", ")),
		"leave these flags out, or change the providers file: every row of this provider follows it"}
}

// write stores the providers file when an entry was added; it appears whole or not
// at all.
func (p *providerFlags) write(s *settings, file providerfile.File) error {
	if !p.changed {
		return nil
	}
	data, err := file.Encode()
	if err != nil {
		return err
	}
	path := s.providersPath()
	temp, err := os.CreateTemp(filepath.Dir(path), ".providers-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails once it is renamed
	_, err = temp.Write(data)
	if err := errors.Join(err, temp.Chmod(0o644), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

func isMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

// providerOf returns the provider that the row names.
func providerOf(file providerfile.File, t bellwether.Token) (bellwether.Provider, error) {
	providers, err := file.Providers()
	if err != nil {
		return nil, err
	}
	for _, p := range providers {
		if p.Name() == t.Provider {
			return p, nil
		}
	}
	return nil, &bellwether.Error{Kind: bellwether.ErrUnknownProvider, ID: t.ID, Detail: printable(t.Provider),
		Hint: "describe it in the file that --providers or $" + envProviders + " names"}
}

func unknownProvider(file providerfile.File, name string) error {
	return &usageError{"unknown provider " + printable(name),
		"known are " + strings.Join(providerNames(file), ", ") + "; describe others in the providers file, or here with --token-url"}
}

func providerNames(file providerfile.File) []string {
	names := []string{"zoho"}
	for _, e := range file.Entries {
		if e.Name() != "zoho" {
			names = append(names, e.Name())
		}
	}
	return names
}

// accountsURL returns the accounts URL of one of the provider's data centres.
func accountsURL(c *zoho.Config, dc string) (string, error) {
	table := c.Endpoints
	if table == nil {
		table = zoho.DefaultEndpoints()
	}
	var codes []string
	for _, e := range table {
		if strings.EqualFold(dc, string(e.DataCenter)) || strings.TrimRight(dc, "/") == e.Accounts {
			return e.Accounts, nil
		}
		codes = append(codes, string(e.DataCenter))
	}
	hint := "the address of Zoho's sign-in page tells: accounts.zoho.eu is eu; known are " + strings.Join(codes, ", ")
	if dc == "" {
		return "", &usageError{"Zoho needs a data centre: --dc", hint}
	}
	return "", &usageError{"unknown data centre " + printable(dc), hint}
}

func (s *settings) completeProviders(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	file, err := s.readProviders()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return providerNames(file), cobra.ShellCompDirectiveNoFileComp
}

func completeDataCenters(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var codes []cobra.Completion
	for _, e := range zoho.DefaultEndpoints() {
		codes = append(codes, cobra.CompletionWithDesc(string(e.DataCenter), e.Accounts))
	}
	return codes, cobra.ShellCompDirectiveNoFileComp
}
