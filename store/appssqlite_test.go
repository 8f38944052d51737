package store_test

import (
	"errors"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestReplacedConnections patches and reads on connections that are each used once. None of them is left open: SQLite removes its log when
// the last one is closed, and cannot close one that has statements.
func TestReplacedConnections(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		must(store.Write(s).DB())(t).SetMaxIdleConns(0)
		must(store.Read(s).DB())(t).SetMaxIdleConns(0)
		for n := range int32(3) {
			patched := must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: n}, writer, nil))(t)
			wantJSON(t, "the app", get(t, s, pageApp).Version, patched.Version)
		}
		if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a connection is still open: %v", err)
			}
		}
	})
}

// TestSchemaChangesBetweenPatches changes the table of apps and its triggers while statements on it are kept.
func TestSchemaChangesBetweenPatches(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	s := openSeeded(t, url, storetest.Page())
	db := storetest.SQL(t, url)
	for n, change := range []string{
		"SELECT 1", "DROP TRIGGER apps_history_update", "DROP INDEX apps_by_name",
		"ALTER TABLE apps ADD COLUMN note TEXT", "ALTER TABLE apps DROP COLUMN note",
	} {
		must(db.ExecContext(t.Context(), change))(t)
		patched := must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(n)}, writer, nil))(t)
		if read := get(t, s, pageApp); patched.Version != int64(n+2) || read.Version != patched.Version || *read.LicenseCount != int32(n) {
			t.Errorf("%s: version %d, then %d with %d licenses", change, patched.Version, read.Version, *read.LicenseCount)
		}
	}
	if changes := history(t, s, pageApp); len(changes) != 2 {
		t.Errorf("%d changes in the history, want that the app was added and the one from before the trigger was dropped", len(changes))
	}
}

// TestDeadlineInsideABatch has a batch of patches run out of time between two statements. It is rolled back, and written again.
func TestDeadlineInsideABatch(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	const timeout, patches = time.Second, 8
	var updates, slow atomic.Int32
	s := storetest.Open(t, url, func(cfg *store.Config) {
		cfg.Timeout = timeout
		check := cfg.OnStatement
		cfg.OnStatement = func(statement string) {
			check(statement)
			if strings.HasPrefix(statement, "UPDATE `apps`") && updates.Add(1) == slow.Load() {
				time.Sleep(timeout + 100*time.Millisecond)
			}
		}
	})
	keys := seedApps(t, s, patches+1)
	slow.Store(3) // the first patch is alone, the others share a batch
	release := blockWritesOf(t, url, keys[0])
	var wg sync.WaitGroup
	for n, key := range keys {
		wg.Go(func() {
			_, err := s.UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: int32(1000 + n)}, writer, nil)
			if err != nil {
				t.Errorf("patch %d: %v", n, err)
			}
		})
		eventually(t, "patches in the group", func() bool {
			now := s.Stats().Patches
			return int(now.Served)+now.Queued == n+1
		})
	}
	release()
	wg.Wait()
	for n, key := range keys {
		if got := get(t, s, key); got.Version != 2 || *got.LicenseCount != int32(1000+n) || len(history(t, s, key)) != 2 {
			t.Errorf("patch %d: version %d with %d licenses and %d changes", n, got.Version, *got.LicenseCount, len(history(t, s, key)))
		}
	}
	if n := updates.Load(); n != 1+2+patches {
		t.Errorf("%d updates, want those of a patch alone, of two that were rolled back, and of all others once more", n)
	}
}

// TestStatementsOnSQLiteAreSpans has a kept statement run more than once. It is a span each time.
func TestStatementsOnSQLiteAreSpans(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	s := openSeeded(t, storetest.SQLite(t), storetest.Page(), func(cfg *store.Config) { cfg.Traces = traces })
	ctx, request := traces.Tracer("test").Start(t.Context(), "request")
	for n := range int32(2) {
		must(s.UpdateApp(ctx, pageApp, store.Fields{store.ColumnLicenseCount: n}, writer, nil))(t)
		must(s.GetApp(ctx, pageApp))(t)
	}
	request.End()
	found := map[string]int{}
	for _, span := range spans.Ended() {
		for _, kv := range span.Attributes() {
			text := kv.Value.String()
			if kv.Key == semconv.DBQueryTextKey && strings.Contains(text, "`apps`") && span.Parent().SpanID() == request.SpanContext().SpanID() {
				found[span.Name()]++
			}
		}
	}
	if want := map[string]int{"UPDATE": 2, "SELECT": 2}; !maps.Equal(found, want) {
		t.Errorf("spans of statements on apps: %v, want %v", found, want)
	}
}
