package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
)

// A secretFlag names the file that holds a secret; "-" is standard input. The
// value of a flag would show in the list of processes.
type secretFlag struct {
	name string // of the flag, without -file
	what string
	path string
}

func (f *secretFlag) register(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&f.path, f.name+"-file", "", "`file` with "+usage+"; - for standard input")
}

// readSecrets reads the secrets in their order. Several from standard input are one
// a line.
func readSecrets(cmd *cobra.Command, flags ...*secretFlag) ([]bellwether.Secret, error) {
	in := &lines{r: bufio.NewReader(cmd.InOrStdin())}
	out := make([]bellwether.Secret, len(flags))
	for i, f := range flags {
		if f.path == "" {
			continue
		}
		text, err := f.read(cmd, in)
		if err != nil {
			return nil, err
		}
		if out[i], err = checkSecret(f, text); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (f *secretFlag) read(cmd *cobra.Command, in *lines) (string, error) {
	if f.path != "-" {
		b, err := os.ReadFile(f.path)
		if err != nil {
			return "", &usageError{fmt.Sprintf("the %s cannot be read: %v", f.what, err), "--" + f.name + "-file names the file that holds it"}
		}
		return strings.TrimSpace(string(b)), nil
	}
	if isTerminal(cmd.InOrStdin()) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s (shown as you type): ", f.what)
	}
	text, err := in.next(cmd.Context())
	if errors.Is(err, io.EOF) {
		err = nil // checkSecret says what a blank one means
	}
	return text, err
}

// checkSecret refuses what no credential is: a blank file, a whole document. It
// quotes nothing.
func checkSecret(f *secretFlag, text string) (bellwether.Secret, error) {
	source := f.path
	if source == "-" {
		source = "standard input"
	}
	switch {
	case text == "":
		return bellwether.Secret{}, &usageError{fmt.Sprintf("no %s in %s", f.what, source),
			"it is one line; several secrets from standard input are one a line, in the order of the flags in --help"}
	case strings.ContainsAny(text, "\r\n"):
		return bellwether.Secret{}, &usageError{fmt.Sprintf("the %s in %s has several lines", f.what, source),
			"the file must hold the secret alone"}
	}
	return bellwether.NewSecret(text), nil
}

// lines reads trimmed lines, and stops waiting for one when a ctx ends.
type lines struct{ r *bufio.Reader }

func (l *lines) next(ctx context.Context) (string, error) {
	type line struct {
		text string
		err  error
	}
	ch := make(chan line, 1)
	go func() { // blocked in a read that nothing can end; the process does
		text, err := l.r.ReadString('\n')
		ch <- line{strings.TrimSpace(text), err}
	}()
	select {
	case got := <-ch:
		return got.text, got.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
