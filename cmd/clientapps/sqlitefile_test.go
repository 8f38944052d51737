package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Only the owner can read an SQLite database and the files beside it, since they contain hashes of tokens. An existing file keeps
// its mode.
func TestSQLiteFilesArePrivate(t *testing.T) { //nolint:paralleltest // the umask is per process
	before := syscall.Umask(0)
	defer syscall.Umask(before)
	dir := t.TempDir()
	url := "sqlite://" + filepath.Join(dir, "clientapps.db")
	s := startServe(t, url, "--demo")
	s.as("demo-token").Patch(t, pageApp, `{"license_count":1}`)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := ""
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		names += file.Name() + " "
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", file.Name(), info.Mode())
		}
	}
	if names != "clientapps.db clientapps.db-shm clientapps.db-wal clientapps.db.migrate.lock " {
		t.Errorf("files: %s", names)
	}
	s.stop()

	shared := filepath.Join(dir, "shared.db")
	if err := os.WriteFile(shared, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	must(t, "sqlite://"+shared, "migrate", "up")
	if info, err := os.Stat(shared); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// Commands that need an existing database do not create one at a mistyped path.
func TestNoDatabaseOfAMistypedPath(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"client", "list"},
		{"client", "create", "--name", "Fabrikam"},
		{"token", "list"},
		{"token", "create", "--name", "x", "--all-clients", "--scope", "apps:read"},
		{"token", "revoke", "00000000-0000-4000-8000-000000000000"},
		{"migrate", "status"},
		{"backup", "copy.db"},
		{"import", "catalog", "--format", "csv", os.DevNull},
		{"import", "apps", "--client", "00000000-0000-4000-8000-000000000000", "--format", "csv", os.DevNull},
	} {
		t.Run(strings.Join(args[:min(2, len(args))], " "), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			o := command(t, []string{"CLIENTAPPS_DATABASE_URL=sqlite://" + filepath.Join(dir, "mistyped.db")}, args...)
			if o.code == 0 || o.stdout != "" || !strings.Contains(o.stderr, "mistyped.db") {
				t.Errorf("%+v", o)
			}
			if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
				t.Errorf("%v %v", files, err)
			}
		})
	}
}
