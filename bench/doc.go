// Package bench runs fleets of replicas against a strict provider and measures what
// their callers see. The demo command narrates it; there is no second runner.
//
// A replica is a process: this executable again, with [WorkerCommand] as its only
// argument. What it needs, secrets included, goes to its standard input, and its
// results come back on its standard output. Its callers are goroutines that are
// released together at one instant. The provider is package oauthtest on loopback, in
// this process; it logs every call with its service time. Redis is the one that
// Options name, in a namespace of its own that is removed afterwards, or an embedded
// one.
//
// What holds: every caller is measured. A failed one counts with its whole wait, and
// nothing is clamped or left out. No process stays behind: a replica ends at the end
// of its standard input, and is killed by its process id when it does not.
//
// What does not: loopback has next to no latency, and all replicas share the CPUs of
// one machine. A design that passes a lock from caller to caller looks better here
// than it is.
//
// A binary that calls Run must recognise WorkerCommand in its main:
//
//	if len(os.Args) == 2 && os.Args[1] == bench.WorkerCommand {
//		err := bench.RunWorker(ctx, os.Stdin, os.Stdout)
//		…
//	}
package bench
