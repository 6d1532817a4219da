package main

import (
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/bellwether-go/bellwether/refresh"
)

// isTerminal reports whether a standard stream is a character device, as terminals
// are.
func isTerminal(stream any) bool {
	f, ok := stream.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}

// progress tells whoever sits at a terminal what a command waits for, each thing once.
func progress(w io.Writer) func(refresh.Report) {
	var mu sync.Mutex
	told := make(map[string]bool)
	tell := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		if !told[what] {
			told[what] = true
			fmt.Fprintln(w, "bellwether: "+what)
		}
	}
	return func(rep refresh.Report) {
		switch rep.Event {
		case refresh.EventWaiting:
			tell("another process refreshes this token; waiting for it")
		case refresh.EventRecovering:
			tell("an earlier refresh may still end; waiting until " + when(rep.Until, time.Now()))
		case refresh.EventCommitRetried:
			tell("the provider has answered and Redis does not take it; trying again")
		}
	}
}
