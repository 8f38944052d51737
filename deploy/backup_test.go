package deploy

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// TestBackupSQLite backs up as docs/backup.md says, and restores by putting the file in its place.
func TestBackupSQLite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	testBackup(t, "sqlite://"+filepath.Join(dir, "clientapps.db"), func(t *testing.T, from string) string {
		t.Helper()
		file := filepath.Join(dir, "backup.db")
		if out, err := clientapps(t, []string{"CLIENTAPPS_DATABASE_URL=" + from}, "backup", file); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return "sqlite://" + file
	})
}

// TestBackupPostgres dumps as docs/backup.md says, and restores into a database of another name.
func TestBackupPostgres(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "clientapps.dump")
	testBackup(t, newPostgres(t, "source"), func(t *testing.T, from string) string {
		t.Helper()
		must(t, "pg_dump", "--format=custom", "--file="+file, from)
		to := newPostgres(t, "restored")
		must(t, "pg_restore", "--exit-on-error", "--no-owner", "--single-transaction", "--dbname="+to, file)
		return to
	})
}

// testBackup backs up while apps are patched over HTTP. What was answered before the backup began is in it, and all that is
// in it agrees with itself and with the source.
func testBackup(t *testing.T, source string, copyTo func(t *testing.T, from string) string) {
	t.Helper()
	token, client := fill(t, source)
	l := &load{url: serveOn(t, source) + "/v2/clients/" + client + "/apps", token: token, answered: map[string]bool{}}
	l.apps = ids(t, source)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := l.start(ctx, t)
	if !within(func() bool { return l.count() >= 300 }) {
		t.Fatal("no load")
	}
	before := l.snapshot()
	restored := copyTo(t, source)
	after := l.count()
	if !within(func() bool { return l.count() > after+50 }) {
		t.Error("the load ended with the backup")
	}
	stop()
	<-done
	if after <= len(before) {
		t.Error("nothing was written while it was backed up")
	}
	compare(t, source, restored, before)
	// The restored server reads and writes, with the tokens of the old one.
	l.url = serveOn(t, restored) + "/v2/clients/" + client + "/apps"
	if got := l.send(t.Context(), http.MethodGet, "?page_size=1", "", "read"); got != http.StatusOK {
		t.Errorf("a list is answered with %d", got)
	}
	if got := l.patch(t.Context(), 0, 1_000_000); got != http.StatusOK {
		t.Errorf("a patch is answered with %d", got)
	}
}

// fill makes the schema, a client with apps, and a token for it.
func fill(t *testing.T, database string) (token, client string) {
	t.Helper()
	admin := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), program, args...) //nolint:gosec // built by us
		cmd.Env = []string{"CLIENTAPPS_DATABASE_URL=" + database}
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	names := "canonical_name\n"
	for i := range 50 {
		names += fmt.Sprintf("App %d\n", i)
	}
	file := filepath.Join(t.TempDir(), "names.csv")
	if err := os.WriteFile(file, []byte(names), 0o600); err != nil {
		t.Fatal(err)
	}
	admin("migrate", "up")
	admin("import", "catalog", file)
	client = admin("client", "create", "--name", "Contoso")
	admin("import", "apps", "--client", client, file)
	return admin("token", "create", "--name", "load", "--client", client, "--scope", "apps:read", "--scope", "apps:write"), client
}

// load is writers that note which requests were answered 200.
type load struct {
	url, token string
	apps       []string

	mu       sync.Mutex
	answered map[string]bool // by request id
}

func (l *load) start(ctx context.Context, t *testing.T) <-chan struct{} {
	t.Helper()
	done := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for n := w; ctx.Err() == nil; n += 4 {
				if got := l.patch(ctx, n%len(l.apps), n+1); got != http.StatusOK && ctx.Err() == nil {
					t.Errorf("patch %d is answered with %d", n, got)
					return
				}
			}
		})
	}
	go func() { writers.Wait(); close(done) }()
	return done
}

// patch sets the licenses of an app to a number that it does not have.
func (l *load) patch(ctx context.Context, app, licenses int) int {
	id := fmt.Sprintf("load-%d", licenses)
	got := l.send(ctx, http.MethodPatch, "/"+l.apps[app], fmt.Sprintf(`{"license_count":%d}`, licenses), id)
	if got == http.StatusOK {
		l.mu.Lock()
		l.answered[id] = true
		l.mu.Unlock()
	}
	return got
}

func (l *load) send(ctx context.Context, method, path, body, id string) int {
	r, err := http.NewRequestWithContext(ctx, method, l.url+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set("Authorization", "Bearer "+l.token)
	r.Header.Set("X-Request-Id", id)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer.StatusCode
}

func (l *load) count() int { return len(l.snapshot()) }

func (l *load) snapshot() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make(map[string]bool, len(l.answered))
	for id := range l.answered {
		ids[id] = true
	}
	return ids
}

func must(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil { //nolint:gosec // our own words
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// newPostgres makes an empty database, and drops it when the test ends.
func newPostgres(t *testing.T, name string) string {
	t.Helper()
	base, err := url.Parse(os.Getenv("TEST_DATABASE_URL"))
	if err != nil || base.Host == "" {
		t.Fatal("TEST_DATABASE_URL is not set: run the tests through tools/with-postgres, as make test-deploy does")
	}
	name = fmt.Sprintf("clientapps_deploy_%s_%d", name, os.Getpid())
	admin := open(t, base.String())
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	base.Path = "/" + name
	return base.String()
}

func open(t *testing.T, database string) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", database
	if path, ok := strings.CutPrefix(database, "sqlite://"); ok {
		driver, dsn = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
