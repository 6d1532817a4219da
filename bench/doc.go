// Package bench runs fleets of replicas against a strict provider and measures what
// their callers see. The demo command narrates it; there is no second runner.
//
// RunSuite runs Scenarios: in each, Bellwether meets what a team would build without it,
// round by round in turn. Its promises are invariants, which hold on every machine; its
// figures are bars, which a quiet machine meets.
//
// A replica is a process: this executable again, with [WorkerCommand] as its only
// argument. What it needs, secrets included, goes to its standard input, and its
// results come back on its standard output. Its callers are goroutines that are
// released together at one instant, or arrive at a rate on a schedule that waits for
// nobody. The provider is package oauthtest on loopback, in this process; it logs every
// call with its service time. Redis is the one that the options name, in a namespace of
// its own that is removed afterwards, a redis-server of the suite's own, or an embedded
// one. Scenarios that kill servers always start their own; so do those that are asked for
// a number of masters, and those that fill one with very many tokens.
//
// What holds: every caller is measured. A failed one counts with its whole wait, one who
// arrives on a schedule from the instant at which it was due. Callers who could not begin,
// since too many were under way, are counted by themselves. A round of a herd that says
// nothing of times, since a replica began or was told too late, is dropped and repeated;
// dropped_rounds and untold_rounds tell how often. What it broke counts, its times do not.
// A replica that is not told at last breaks an invariant. Waits are rounded to
// microseconds and kept to three digits, so that less than half a microsecond is 0. No
// process stays behind: a replica ends at the end of its standard input, and is killed by
// its process id when it does not.
//
// What does not: loopback has next to no latency, and all replicas share the CPUs of
// one machine. A design that passes a lock from caller to caller looks better here
// than it is. Waits under load hold the lateness of the timers that make callers arrive,
// a millisecond or less on a quiet machine; call_p50 and call_p99 are without it.
//
// A binary that calls Run or RunSuite must recognise WorkerCommand in its main:
//
//	if len(os.Args) == 2 && os.Args[1] == bench.WorkerCommand {
//		err := bench.RunWorker(ctx, os.Stdin, os.Stdout)
//		…
//	}
package bench
