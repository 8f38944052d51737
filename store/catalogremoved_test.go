package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// afterStatement calls a function once, when a statement on apps has run and the store has not used its result yet.
type afterStatement struct {
	meanwhile atomic.Pointer[func(sql string) (done bool)]
}

// set calls meanwhile after the next patch, or after the next statement that reads apps.
func (a *afterStatement) set(patch bool, meanwhile func()) {
	next := func(sql string) bool {
		if patch != strings.HasPrefix(sql, "UPDATE ") || !strings.Contains(sql, "catalog_app_id") || !strings.Contains(sql, "apps") {
			return false
		}
		meanwhile()
		return true
	}
	a.meanwhile.Store(&next)
}

func (a *afterStatement) done(sql string) {
	if meanwhile := a.meanwhile.Swap(nil); meanwhile != nil && !(*meanwhile)(sql) {
		a.meanwhile.Store(meanwhile)
	}
}

func (a *afterStatement) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (a *afterStatement) Shutdown(context.Context) error                  { return nil }
func (a *afterStatement) ForceFlush(context.Context) error                { return nil }

// OnEnd handles the statements that do not go through gorm.
func (a *afterStatement) OnEnd(span sdktrace.ReadOnlySpan) {
	attributes := map[attribute.Key]string{}
	for _, kv := range span.Attributes() {
		attributes[kv.Key] = kv.Value.String()
	}
	if attributes["pgx.rows_affected"] != "" { // it ran, and was not only prepared
		a.done(attributes["db.query.text"])
	}
}

// openWithHook opens a store that calls afterStatement, and returns the context in which it does.
func openWithHook(t *testing.T, url string) (*store.Store, context.Context, *afterStatement) {
	t.Helper()
	after := &afterStatement{}
	if strings.HasPrefix(url, "sqlite") {
		s := openWithoutPolling(t, url, func(cfg *store.Config) {
			check := cfg.OnStatement
			cfg.OnStatement = func(statement string) {
				check(statement)
				after.done(statement)
			}
		})
		return s, t.Context(), after
	}
	traces := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(after))
	s := openWithoutPolling(t, url, func(cfg *store.Config) { cfg.Traces = traces })
	ctx, span := traces.Tracer("test").Start(t.Context(), "request")
	t.Cleanup(func() { span.End() })
	return s, ctx, after
}

// appReaders returns all methods that return an app.
func appReaders(ctx context.Context, s *store.Store) map[string]func(key store.AppKey) (store.App, error) {
	page := func(key store.AppKey, f store.AppFilter, p store.Page) (store.App, error) {
		list, err := s.ListApps(ctx, key.ClientID, f, p)
		for _, app := range list.Rows {
			if app.ID == key.ID {
				return app, err
			}
		}
		return store.App{}, errors.Join(err, errLeftOut)
	}
	return map[string]func(key store.AppKey) (store.App, error){
		"get": func(key store.AppKey) (store.App, error) { return s.GetApp(ctx, key) },
		"list": func(key store.AppKey) (store.App, error) {
			return page(key, store.AppFilter{}, fullPage(store.ColumnCanonicalName))
		},
		"search": func(key store.AppKey) (store.App, error) {
			return page(key, store.AppFilter{Query: "leet"}, fullPage(store.ColumnUpdatedAt))
		},
		"patch": func(key store.AppKey) (store.App, error) {
			return s.UpdateApp(ctx, key, store.Fields{store.ColumnLicenseCount: int32(7)}, alice, nil)
		},
		"patch that changes nothing": func(key store.AppKey) (store.App, error) {
			return s.UpdateApp(ctx, key, store.Fields{store.ColumnLicenseCount: nil}, alice, nil)
		},
	}
}

var errLeftOut = errors.New("left out of the list")

// TestEntryRemovedBetweenReadAndShow removes an app and its catalog app after the row of the app was read or written, and before its
// catalog app is looked up. The result is the app as it was.
func TestEntryRemovedBetweenReadAndShow(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		t.Run(map[bool]string{true: "known", false: "never seen"}[known], func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, url string) {
				t.Parallel()
				there := openSeeded(t, url, storetest.Page())
				here, ctx, after := openWithHook(t, url)
				for what, use := range appReaders(ctx, here) {
					get(t, here, pageApp) // loads the catalog
					entry := createTemporary(t, there)
					key := addTemporary(t, there, entry)
					if known {
						must(here.ListCatalogApps(t.Context(), store.CatalogFilter{}, fullPage(store.ColumnCanonicalName)))(t)
					}
					after.set(what == "patch", func() {
						removeTemporary(t, there, key, entry.ID)
						if known { // reloads the snapshot, which then lacks the catalog app
							must(here.ListVendors(t.Context(), "", fullPage(store.ColumnName)))(t)
						}
					})
					app, err := use(key)
					if err != nil {
						t.Errorf("%s: %v", what, err)
						continue
					}
					wantJSON(t, what+" shows", app.Catalog, entry)
					if app.Catalog.ETag() != entry.ETag() || app.ID != key.ID {
						t.Errorf("%s: %s with the tag %s, want %s", what, app.ID, app.Catalog.ETag(), entry.ETag())
					}
					if _, err := use(key); err == nil {
						t.Errorf("%s: the app still exists", what)
					}
				}
				_, err := here.GetCatalogApp(ctx, deletedEntryID(t, there))
				if _, ok := errors.AsType[*store.NotFoundError](err); !ok {
					t.Errorf("a catalog app that was deleted: %v", err)
				}
			})
		})
	}
}

// createTemporary creates a catalog app, which the test deletes again.
func createTemporary(t *testing.T, s *store.Store) *store.CatalogApp {
	t.Helper()
	fields := store.Fields{
		store.ColumnCanonicalName: "Fleeting", store.ColumnVendorID: storetest.VendorID, store.ColumnDescription: "ß \u2028",
	}
	return must(s.CreateCatalogApp(t.Context(), fields, []uuid.UUID{storetest.CategoryID}, alice))(t)
}

// deletedEntryID returns the id of a catalog app that was deleted.
func deletedEntryID(t *testing.T, s *store.Store) uuid.UUID {
	t.Helper()
	entry := createTemporary(t, s)
	if err := s.DeleteCatalogApp(t.Context(), entry.ID, alice, nil); err != nil {
		t.Fatal(err)
	}
	return entry.ID
}

func addTemporary(t *testing.T, s *store.Store, entry *store.CatalogApp) store.AppKey {
	t.Helper()
	app := must(s.AddApp(t.Context(), storetest.ClientID, entry.ID, nil, alice))(t)
	return store.AppKey{ClientID: app.ClientID, ID: app.ID}
}

func removeTemporary(t *testing.T, s *store.Store, key store.AppKey, entry uuid.UUID) {
	t.Helper()
	if err := errors.Join(s.RemoveApp(t.Context(), key, alice, nil), s.DeleteCatalogApp(t.Context(), entry, alice, nil)); err != nil {
		t.Errorf("remove: %v", err)
	}
}

// TestEntryWithoutRevisions is TestEntryRemovedBetweenReadAndShow without the rows of catalog_revisions that describe the catalog app.
// Reads report that the app does not exist. A patch that was written is in doubt.
func TestEntryWithoutRevisions(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		there, db := openSeeded(t, url, storetest.Page()), storetest.SQL(t, url)
		here, ctx, after := openWithHook(t, url)
		for what, use := range appReaders(ctx, here) {
			get(t, here, pageApp)
			entry := createTemporary(t, there)
			key := addTemporary(t, there, entry)
			after.set(what == "patch", func() {
				removeTemporary(t, there, key, entry.ID)
				must(db.ExecContext(t.Context(), "DELETE FROM catalog_revisions"))(t)
			})
			_, err := use(key)
			switch what {
			case "get", "patch that changes nothing":
				wantError(t, err, &store.NotFoundError{Kind: store.KindApp, ID: key.ID})
			case "patch":
				if _, ok := errors.AsType[*store.InDoubtError](err); !ok {
					t.Errorf("patch: %v", err)
				}
			case "search": // it has looked up the catalog app, so the snapshot has it
				if err != nil {
					t.Errorf("search: %v", err)
				}
			default:
				if err == nil || err.Error() != errLeftOut.Error() {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
	})
}

// TestNewEntryIsLoadedOnce reads an app whose catalog app is not in the snapshot many times at once. The catalog is loaded once.
func TestNewEntryIsLoadedOnce(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		there := openSeeded(t, url, storetest.Page())
		here := openWithoutPolling(t, url)
		get(t, here, pageApp)
		key := addTemporary(t, there, createTemporary(t, there))
		before := here.Stats().Catalog.Loads
		release := store.HoldLoad(here)
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				if app, err := here.GetApp(t.Context(), key); err != nil || app.Catalog.CanonicalName != "Fleeting" {
					t.Errorf("%+v, %v", app.Catalog, err)
				}
			})
		}
		release()
		all.Wait()
		if loads := here.Stats().Catalog.Loads - before; loads == 0 || loads > 2 { // a second one if a call came after the first load had begun
			t.Errorf("the catalog was loaded %d times", loads)
		}
	})
}

// TestCatalogWriteDoesNotWaitForTheSnapshot writes the catalog while loads of the snapshot block or fail. The writes succeed and return
// what they wrote.
func TestCatalogWriteDoesNotWaitForTheSnapshot(t *testing.T) {
	t.Parallel()
	for name, obstruct := range map[string]func(*testing.T, *store.Store){
		"slow":    func(t *testing.T, s *store.Store) { t.Helper(); t.Cleanup(store.HoldLoad(s)) },
		"failing": failLoads,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, url string) {
				t.Parallel()
				s := openSeeded(t, url, catalogData())
				doomed := must(s.CreateCatalogApp(t.Context(), store.Fields{store.ColumnCanonicalName: "Doomed"}, nil, alice))(t)
				obstruct(t, s)
				var made, updated *store.CatalogApp
				var maker store.Vendor
				var category store.Category
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				var writes sync.WaitGroup
				for _, write := range []func() (err error){
					func() (err error) {
						made, err = s.CreateCatalogApp(ctx, store.Fields{store.ColumnCanonicalName: "New"}, []uuid.UUID{idOf("video")}, alice)
						return err
					},
					func() (err error) {
						updated, err = s.UpdateCatalogApp(ctx, storetest.CatalogID, store.Fields{store.ColumnLogo: nil}, nil, alice, nil)
						return err
					},
					func() (err error) { return s.DeleteCatalogApp(ctx, doomed.ID, alice, nil) },
					func() (err error) { maker, err = s.CreateVendor(ctx, vendor("Vendor"), alice); return err },
					func() (err error) {
						category, err = s.UpdateCategory(ctx, idOf("Audio"), vendor("Sound"), alice, nil)
						return err
					},
					func() (err error) {
						_, err = s.ImportCatalog(ctx, catalogRows(catalogRow("Imported", nil)), alice, store.ImportOptions{})
						return err
					},
				} {
					writes.Go(func() {
						if err := write(); err != nil {
							t.Error(err)
						}
					})
				}
				writes.Wait()
				if t.Failed() {
					return
				}
				fresh := openWithoutPolling(t, url)
				for _, want := range []*store.CatalogApp{made, updated} {
					wantJSON(t, "read by another server", must(fresh.GetCatalogApp(t.Context(), want.ID))(t), want)
				}
				wantJSON(t, "the vendor", must(fresh.ListVendors(t.Context(), "vendor", fullPage(store.ColumnName)))(t).Rows, []store.Vendor{maker})
				wantJSON(t, "the category", must(fresh.ListCategories(t.Context(), "sound", fullPage(store.ColumnName)))(t).Rows, []store.Category{category})
				found := must(fresh.ListCatalogApps(t.Context(), store.CatalogFilter{}, fullPage(store.ColumnCanonicalName)))(t)
				wantJSON(t, "the catalog", catalogNames(found.Rows), []string{"Imported", "New", "Slack"})
			})
		})
	}
}

// failLoads makes every load of the catalog fail.
func failLoads(t *testing.T, s *store.Store) {
	t.Helper()
	err := store.Read(s).Callback().Query().Before("gorm:query").Register("test:fail", func(tx *gorm.DB) {
		if tx.Statement.Table == "catalog_revisions" {
			_ = tx.AddError(errors.New("cannot load"))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
