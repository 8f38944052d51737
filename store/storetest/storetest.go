// Package storetest makes databases for tests, on SQLite and on PostgreSQL, and opens stores on them.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/clientapps/clientapps/store"
)

// Each runs the test on both databases, each time with the URL of a new migrated database. It fails without TEST_DATABASE_URL, because
// both databases must be tested.
func Each(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// EachParallel is Each with tests that run beside others. They become parallel before they have a database: a test that ends gives its
// own to the next.
func EachParallel(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, Postgres(t))
	})
}

// SQLite returns the URL of a new migrated database file.
func SQLite(t testing.TB) string {
	t.Helper()
	sqliteTemplate.once.Do(func() { sqliteTemplate.file, sqliteTemplate.err = migratedFile(t) })
	if sqliteTemplate.err != nil {
		t.Fatalf("SQLite: %v", sqliteTemplate.err)
	}
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, sqliteTemplate.file, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite://" + path
}

// Postgres returns the URL of a migrated database without rows, for this test alone. With TEST_POOLER_ADDR, which
// tools/with-pgbouncer sets, the URL is that of the pooler. With TEST_CITUS_WORKERS, which tools/with-citus sets, it is that of the
// coordinator of a distributed database.
func Postgres(t testing.TB) string {
	t.Helper()
	skipOnCitus(t)
	postgresTemplate.once.Do(func() { postgresTemplate.err = makeTemplate(t) })
	if postgresTemplate.err != nil {
		t.Fatalf("PostgreSQL: %v", postgresTemplate.err)
	}
	if rowSecurity() {
		return pooled(urlForRole(t, reusedDatabase(t), "server"))
	}
	return pooled(reusedDatabase(t))
}

// EmptyPostgres returns the URL of a new database without a schema, dropped when the test ends.
func EmptyPostgres(t testing.TB) string {
	t.Helper()
	return pooled(newDatabase(t, "template1"))
}

// Open opens a store and closes it when the test ends. configure may change the defaults. The test fails if the store sends a statement
// that CheckStatement refuses.
func Open(t testing.TB, url string, configure ...func(*store.Config)) *store.Store {
	t.Helper()
	// TokenUsageInterval: the last use of a token is not written during a test, unless the test asks for that.
	// Timeout: nothing times out because the machine is busy, but waits for locks end as early as by default.
	cfg := store.Config{URL: url, MaxConns: 8, Timeout: 30 * time.Second, LockTimeout: 2500 * time.Millisecond, TokenUsageInterval: time.Hour, RowLevelSecurity: rowSecurity() && !strings.HasPrefix(url, "sqlite:")}
	cfg.BatchByClient = OnCitus() && !strings.HasPrefix(url, "sqlite:")
	cfg.OnStatement = func(statement string) {
		if err := CheckStatement(statement); err != nil {
			t.Errorf("%v: %s", err, statement)
		}
	}
	for _, c := range configure {
		c(&cfg)
	}
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

// SQL opens a database without the store, bypassing the pooler, to inspect tables or to break them.
func SQL(t testing.TB, url string) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", direct(url)
	if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
		driver, dsn = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Main runs a package's tests and then removes the databases and roles that they share. Call it from TestMain.
func Main(m *testing.M) int {
	code := m.Run()
	dropReusable(context.Background())
	for _, database := range []string{postgresTemplate.name, rolesTemplate.name} {
		if database == "" {
			continue
		}
		if err := admin(context.Background(), "DROP DATABASE IF EXISTS "+database+" WITH (FORCE)"); err != nil {
			fmt.Fprintln(os.Stderr, "storetest:", err)
		}
	}
	if err := dropRoles(context.Background()); err != nil && os.Getenv("TEST_DATABASE_URL") != "" {
		fmt.Fprintln(os.Stderr, "storetest:", err)
	}
	return code
}

// A template is a PostgreSQL database that is migrated once per test binary, since a copy costs less than a migration.
type template struct {
	once sync.Once
	name string
	err  error
}

var postgresTemplate template

func (d *template) create(ctx context.Context, prefix string) error {
	name := fmt.Sprintf("%s_%d", prefix, os.Getpid())
	if err := admin(ctx, "CREATE DATABASE "+name); err != nil {
		return err
	}
	d.name = name
	return nil
}

// sqliteTemplate is the file of a migrated database.
var sqliteTemplate struct {
	once sync.Once
	file []byte
	err  error
}

// migratedFile returns the content of a migrated SQLite database. When its last connection closes, SQLite writes the log into the
// file and removes the log.
func migratedFile(t testing.TB) ([]byte, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "template.db")
	migrate(t, "sqlite://"+path)
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the migrated database still has a log: %w", err)
	}
	return os.ReadFile(path) //nolint:gosec // in the test's own directory
}

var databases atomic.Int64

func makeTemplate(t testing.TB) error {
	t.Helper()
	if OnCitus() {
		d := createDistributed(t)
		reusable.databases = append(reusable.databases, d)
		return readTemplate(t.Context(), d.name)
	}
	if err := postgresTemplate.create(t.Context(), "clientapps_template"); err != nil {
		return err
	}
	name := postgresTemplate.name
	s, err := store.Open(store.Config{URL: databaseURL(name)})
	if err != nil {
		return err
	}
	if err := s.Migrate(t.Context()); err != nil {
		return err
	}
	if err := s.Close(); err != nil { // a template must have no connections
		return err
	}
	if rowSecurity() {
		ensureRoles(t)
		Deploy(t, databaseURL(name), "roles.sql")
		Deploy(t, databaseURL(name), "rls.sql")
	}
	return readTemplate(t.Context(), name)
}

// newDatabase returns the URL of a copy of a database, dropped when the test ends.
func newDatabase(t testing.TB, template string) string {
	t.Helper()
	name := createDatabase(t, template)
	t.Cleanup(func() { dropDatabase(t, name) })
	return databaseURL(name)
}

func createDatabase(t testing.TB, template string) (name string) {
	t.Helper()
	name = fmt.Sprintf("clientapps_test_%d_%d", os.Getpid(), databases.Add(1))
	// Without fsync, as in tools/with-postgres, copying files takes a third of the time of the default, which logs each page.
	if err := admin(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template+" STRATEGY file_copy"); err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	return name
}

func dropDatabase(t testing.TB, name string) {
	t.Helper()
	if err := adminOnAllServers(context.Background(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
		t.Errorf("PostgreSQL: %v", err)
	}
}

func migrate(t testing.TB, url string) {
	t.Helper()
	s, err := store.Open(store.Config{URL: url})
	if err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("migrate %s: %v", url, err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("close %s: %v", url, err)
	}
}

// adminLock lets one statement run at a time: CREATE DATABASE refuses a template that another session is copying.
var adminLock sync.Mutex

// admin runs a statement on the server of TEST_DATABASE_URL.
func admin(ctx context.Context, statement string) error {
	base := os.Getenv("TEST_DATABASE_URL")
	if base == "" {
		return fmt.Errorf("TEST_DATABASE_URL is not set: run the tests through tools/with-postgres, as make test does")
	}
	adminLock.Lock()
	defer adminLock.Unlock()
	return run(ctx, base, statement)
}

func run(ctx context.Context, database, statements string) error {
	db, err := sql.Open("pgx", database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, statements)
	return err
}

// pooled returns the URL of a database through the pooler, if there is one. It turns prepared statements off, because behind a pooler a
// statement that one transaction has prepared may not exist in the next.
func pooled(address string) string {
	pooler := os.Getenv("TEST_POOLER_ADDR")
	u, err := url.Parse(address)
	if pooler == "" || err != nil {
		return address
	}
	u.Host = pooler
	query := u.Query()
	query.Set("default_query_exec_mode", "exec")
	u.RawQuery = query.Encode()
	return u.String()
}

// direct returns a URL that bypasses the pooler and row-level security.
func direct(address string) string {
	u, err := url.Parse(address)
	if err != nil || os.Getenv("TEST_POOLER_ADDR") == "" && !rowSecurity() {
		return address
	}
	return databaseURL(strings.TrimPrefix(u.Path, "/"))
}

func databaseURL(name string) string {
	u, err := url.Parse(os.Getenv("TEST_DATABASE_URL"))
	if err != nil {
		return "" // admin has refused it before
	}
	u.Path = "/" + name
	return u.String()
}
