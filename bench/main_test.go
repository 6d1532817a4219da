package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// roleEnv makes this binary play another part than that of a test or a replica.
const roleEnv = "BELLWETHER_BENCH_TEST_ROLE"

const (
	roleDemo     = "demo"     // as the demo command, on an embedded Redis
	roleStubborn = "stubborn" // a replica that is ready and then hears nothing
	roleBroken   = "broken"   // a replica that dies with a message
)

// TestMain makes this binary its own replicas, as the command is.
func TestMain(m *testing.M) {
	replica := len(os.Args) == 2 && os.Args[1] == WorkerCommand
	switch role := os.Getenv(roleEnv); {
	case replica && role == roleStubborn:
		fmt.Println(`{"Word":"ready"}`)
		time.Sleep(time.Minute)
	case replica && role == roleBroken:
		fmt.Fprintln(os.Stderr, "out of luck")
		os.Exit(3)
	case replica:
		if err := RunWorker(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case role == roleDemo:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		_, err := Run(ctx, small, NewText(os.Stdout, false))
		fmt.Println("ended:", err)
	default:
		// Scenarios spend most of their time waiting.
		flag.Parse()
		if err := flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))); err != nil {
			panic(err)
		}
		os.Exit(m.Run())
	}
}

// small is a run that tests can afford.
var small = Options{Replicas: 3, Callers: 20, Latency: 100 * time.Millisecond}
