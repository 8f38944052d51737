package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/clientapps/clientapps/store/storetest"
)

// countedApp is an app whose license_count is countedApp up by patches: 1, 2, 3.
type countedApp struct {
	path            string
	asked, answered atomic.Int64 // the last count sent, and the last one acknowledged
}

// countUp patches until stop is closed.
func (c *countedApp) countUp(t *testing.T, s *serving, stop <-chan struct{}) {
	t.Helper()
	for n := int64(1); ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		c.asked.Store(n)
		if got := s.as("demo-token").Patch(t, c.path, fmt.Sprintf(`{"license_count":%d}`, n)); got.Status != http.StatusOK {
			t.Errorf("%d %s", got.Status, got.Body)
			return
		}
		c.answered.Store(n)
	}
}

// A backup is made while clients write, and is restored elsewhere. It has the writes that were acknowledged before it began, and none
// that were sent after it ended. Each app agrees with its history, change by change.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := startServe(t, url, "--demo")
		apps := demoApps(t, s)
		stop, ended := make(chan struct{}), sync.WaitGroup{}
		for _, app := range apps {
			ended.Go(func() { app.countUp(t, s, stop) })
		}
		eventually(t, func() bool { return apps[0].answered.Load() > 20 })
		before := make([]int64, len(apps))
		for i, app := range apps {
			before[i] = app.answered.Load()
		}
		restored := backUpAndRestore(t, url)
		after := make([]int64, len(apps))
		for i, app := range apps {
			after[i] = app.asked.Load()
		}
		eventually(t, func() bool { return apps[0].answered.Load() > after[0] }) // writes continue
		close(stop)
		ended.Wait()

		other := startServe(t, restored, "--demo", "--migrate=false")
		for i, app := range apps {
			var shown struct {
				Licenses *int64 `json:"license_count"`
			}
			got := other.as("demo-token").Get(t, app.path)
			if err := json.Unmarshal([]byte(got.Body), &shown); err != nil || shown.Licenses == nil {
				t.Fatalf("%d %s: %v", got.Status, got.Body, err)
			}
			if n := *shown.Licenses; n < before[i] || n > after[i] {
				t.Errorf("%s: %d licenses, want %d to %d", app.path, n, before[i], after[i])
			}
			checkHistory(t, other, app.path, *shown.Licenses)
		}
		if got := other.as("demo-token").Patch(t, apps[0].path, `{"license_count":0}`); got.Status != http.StatusOK {
			t.Errorf("the restored server answers %d %s", got.Status, got.Body)
		}
	})
}

func demoApps(t *testing.T, s *serving) []*countedApp {
	t.Helper()
	var page struct {
		Data []struct{ ID string } `json:"data"`
	}
	list := pageApp[:strings.LastIndex(pageApp, "/")]
	got := s.as("demo-token").Get(t, list)
	if err := json.Unmarshal([]byte(got.Body), &page); err != nil || len(page.Data) < 2 {
		t.Fatalf("%s: %v", got.Body, err)
	}
	var apps []*countedApp
	for _, app := range page.Data {
		apps = append(apps, &countedApp{path: list + "/" + app.ID})
	}
	return apps
}

// checkHistory checks an app's history, newest first: the values must count down from licenses to 1.
func checkHistory(t *testing.T, s *serving, path string, licenses int64) {
	t.Helper()
	next := path + "/changes?page_size=100"
	for next != "" {
		var page struct {
			Data []struct {
				Field    string
				NewValue json.RawMessage `json:"new_value"`
			}
			Next *string `json:"next_cursor"`
		}
		got := s.as("demo-token").Get(t, next)
		if err := json.Unmarshal([]byte(got.Body), &page); err != nil || got.Status != http.StatusOK {
			t.Fatalf("%d %s: %v", got.Status, got.Body, err)
		}
		for _, change := range page.Data {
			if change.Field != "license_count" {
				continue
			}
			if string(change.NewValue) != fmt.Sprint(licenses) {
				t.Fatalf("%s: the history has %s, want %d", path, change.NewValue, licenses)
			}
			licenses--
		}
		if next = ""; page.Next != nil {
			next = path + "/changes?page_size=100&cursor=" + *page.Next
		}
	}
	if licenses != 0 {
		t.Errorf("%s: the history lacks the values up to %d", path, licenses)
	}
}

// backUpAndRestore follows docs/backup.md, and returns the URL of the restored database.
func backUpAndRestore(t *testing.T, url string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backup")
	if strings.HasPrefix(url, "sqlite:") {
		o := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + url}, "backup", file)
		if o.code != 0 || o.stdout != "backed up to "+file+"\n" {
			t.Fatalf("%+v", o)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		return "sqlite://" + file
	}
	restored := storetest.EmptyPostgres(t)
	for _, words := range [][]string{
		{"pg_dump", "--format=custom", "--file=" + file, url},
		{"pg_restore", "--no-owner", "--exit-on-error", "--dbname=" + restored, file},
	} {
		if out, err := exec.CommandContext(t.Context(), words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", words, err, out)
		}
	}
	return restored
}

func TestBackupRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	full, other := filepath.Join(dir, "full"), filepath.Join(dir, "other.db")
	if err := os.WriteFile(full, []byte("something"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := storetest.SQL(t, "sqlite://"+other).ExecContext(t.Context(), "CREATE TABLE t (a)"); err != nil {
		t.Fatal(err)
	}
	source := storetest.SQLite(t)
	for _, test := range []struct {
		name, url, file, want string
	}{
		{"to an existing file", source, full, "full exists"},
		{"to the database itself", source, strings.TrimPrefix(source, "sqlite://"), "exists"},
		{"to a missing directory", source, filepath.Join(dir, "none", "x"), "no such file or directory"},
		{"of a missing database", "sqlite://" + filepath.Join(dir, "missing.db"), filepath.Join(dir, "a"), "no such file or directory"},
		{"of another program's database", "sqlite://" + other, filepath.Join(dir, "b"), "not a database of clientapps"},
		{"of PostgreSQL", "postgres://127.0.0.1:1/x", filepath.Join(dir, "c"), "pg_dump"},
	} {
		o := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + test.url}, "backup", test.file)
		if o.code != 1 || !strings.Contains(o.stderr, test.want) || o.stdout != "" {
			t.Errorf("%s: %+v", test.name, o)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("left over: %v, %v", left, err)
	}
	if text, err := os.ReadFile(full); string(text) != "something" {
		t.Errorf("%s, %v", text, err)
	}
}
