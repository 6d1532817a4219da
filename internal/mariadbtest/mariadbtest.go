// Package mariadbtest starts real MariaDB servers for tests, each on a loopback port and
// in a folder of its own.
//
//	srv := mariadbtest.Start(t)
//	db := srv.Database(t) // a fresh database; the test imports the driver "mysql"
//
// What is started ends with its test, by process id. On Linux a server also dies with the
// test binary, however that ends; elsewhere a killed test binary leaves its server behind,
// and everywhere its folder under os.TempDir.
package mariadbtest

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether/internal/child"
	"github.com/bellwether-go/bellwether/internal/redistest"
)

const (
	startTimeout = 60 * time.Second // a loaded machine is slow, a broken server is not
	pollEvery    = 10 * time.Millisecond
	starts       = 3 // tries with another port
	userName     = "bellwether"
)

// A Server is one mariadbd. Its methods are not safe for concurrent use; what speaks to
// it is.
type Server struct {
	dir      string
	port     int
	password string
	binary   string
	args     []string
	cmd      *exec.Cmd
	done     chan struct{} // closed when the process has ended and was waited for
	count    atomic.Int64  // of databases
}

// Start starts a server for the test, which it skips, or fails, when there is none to
// start; see redistest.NeedProgram. args are further options of mariadbd.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	binary := redistest.NeedProgram(t, "mariadbd", "mysqld")
	install := redistest.NeedProgram(t, "mariadb-install-db", "mysql_install_db")
	dir, err := os.MkdirTemp("", "mariadbtest-")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{dir: dir, password: rand.Text(), binary: binary, args: args}
	t.Cleanup(s.close)
	if err := s.install(install); err != nil {
		t.Fatal(err)
	}
	for try := range starts {
		if s.port, err = freePort(); err != nil {
			t.Fatal(err)
		}
		if err = s.launch(); err == nil {
			return s
		}
		t.Logf("start %d of mariadbd: %v", try+1, err)
	}
	t.Fatalf("mariadbd does not start:\n%s", s.logTail())
	return nil
}

// install makes the system tables, and a file that gives our user, and nobody else, a
// way in over TCP. An anonymous user would stand before one of any host, but not before
// one of this address.
func (s *Server) install(binary string) error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	cmd := exec.Command(binary, "--no-defaults", "--user="+me.Username, "--datadir="+s.data(),
		"--auth-root-authentication-method=socket", "--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=8M")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadbtest: %s: %w\n%s", binary, err, out)
	}
	s.args = append([]string{
		"--no-defaults", "--user=" + me.Username, "--datadir=" + s.data(), "--bind-address=127.0.0.1",
		"--socket=" + filepath.Join(s.dir, "socket"), "--pid-file=" + filepath.Join(s.dir, "pid"),
		"--init-file=" + filepath.Join(s.dir, "init.sql"), "--tmpdir=" + s.dir,
		"--skip-name-resolve", "--skip-log-bin", "--performance-schema=OFF", "--max-connections=200",
		"--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M", "--innodb-doublewrite=0",
		"--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", // survives the process, not the machine
	}, s.args...)
	account := fmt.Sprintf("'%s'@'127.0.0.1'", userName)
	return os.WriteFile(filepath.Join(s.dir, "init.sql"), fmt.Appendf(nil,
		"CREATE OR REPLACE USER %s IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO %s WITH GRANT OPTION;\n",
		account, s.password, account), 0o600)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// launch starts the process and waits until it takes connections of our user: the file
// of install has been read by then.
func (s *Server) launch() error {
	out, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	s.cmd = exec.Command(s.binary, append(s.args, "--port="+strconv.Itoa(s.port))...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, out, out
	if err := child.Start(s.cmd); err != nil {
		return err
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait() // how it ended does not matter: tests kill servers
		close(done)
	}(s.cmd, s.done)

	db, err := sql.Open("mysql", s.DSN(""))
	if err != nil {
		s.Kill()
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(pollEvery) {
		var pidFile string
		err := db.QueryRow("SELECT @@pid_file").Scan(&pidFile)
		switch {
		case err == nil && pidFile == filepath.Join(s.dir, "pid"):
			return nil
		case err == nil:
			err = fmt.Errorf("port %d belongs to another server", s.port)
		}
		if s.exited() {
			return errors.New("mariadbtest: the server has exited")
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("mariadbtest: not within %v: %w", startTimeout, err)
		}
	}
}

func (s *Server) exited() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Addr is the server's host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// DSN is a data source name of github.com/go-sql-driver/mysql for a database.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("%s:%s@tcp(%s)/%s", userName, s.password, s.Addr(), database)
}

// Password is that of the user "bellwether", who may do all.
func (s *Server) Password() string { return s.password }

// Database makes a database and returns its name and a *sql.DB on it, which is closed
// when the test ends.
func (s *Server) Database(t testing.TB) (name string, db *sql.DB) {
	t.Helper()
	admin, err := sql.Open("mysql", s.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	name = fmt.Sprint("test", s.count.Add(1))
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name+" CHARACTER SET utf8mb4"); err != nil {
		t.Fatal(err)
	}
	db, err = sql.Open("mysql", s.DSN(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return name, db
}

// Kill ends the process at once, as a crash does, and waits until it is gone.
func (s *Server) Kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill() // os.ErrProcessDone: already gone
		<-s.done
	}
}

// Start launches a server that was killed again, on the same port and folder.
func (s *Server) Start() error {
	if !s.exited() {
		return errors.New("mariadbtest: the server is running")
	}
	return s.launch()
}

func (s *Server) close() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

// freePort returns a loopback port on which nobody listens. Somebody may take it before
// it is used; Start then tries another.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// logTail returns the end of the server's log, for error messages.
func (s *Server) logTail() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-15):], []byte("\n")))
}
