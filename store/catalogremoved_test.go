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

// afterStatement calls what is set, once, when a statement about apps has been done and nothing made of its result yet.
type afterStatement struct {
	meanwhile atomic.Pointer[func(sql string) (done bool)]
}

// set has meanwhile called after the next patch, or else after the next statement that reads apps.
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

// OnEnd sees the statements that do not go through gorm.
func (a *afterStatement) OnEnd(span sdktrace.ReadOnlySpan) {
	said := map[attribute.Key]string{}
	for _, kv := range span.Attributes() {
		said[kv.Key] = kv.Value.String()
	}
	if said["pgx.rows_affected"] != "" { // it was run, and not only prepared
		a.done(said["db.query.text"])
	}
}

// interrupted opens a store whose statements tell when they are done, and a context in which they do.
func interrupted(t *testing.T, url string) (*store.Store, context.Context, *afterStatement) {
	t.Helper()
	after := &afterStatement{}
	if strings.HasPrefix(url, "sqlite") {
		s := openWithoutPolling(t, url)
		err := store.AfterStatement(s, func(st *gorm.Statement) { after.done(st.SQL.String()) })
		if err != nil {
			t.Fatal(err)
		}
		return s, t.Context(), after
	}
	traces := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(after))
	s := openWithoutPolling(t, url, func(cfg *store.Config) { cfg.Traces = traces })
	ctx, span := traces.Tracer("test").Start(t.Context(), "request")
	t.Cleanup(func() { span.End() })
	return s, ctx, after
}

// appReaders is everything that reads or writes an app's row and shows it.
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

// TestEntryRemovedBetweenReadAndShow removes an app and its catalog entry when its row has been read or written and the
// entry that it shows has not been looked up yet. The answer is the app as it was.
func TestEntryRemovedBetweenReadAndShow(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		t.Run(map[bool]string{true: "known", false: "never seen"}[known], func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, url string) {
				t.Parallel()
				there := openSeeded(t, url, storetest.Page())
				here, ctx, after := interrupted(t, url)
				for what, use := range appReaders(ctx, here) {
					get(t, here, pageApp) // from now on it has a catalog
					entry := fleeting(t, there)
					key := addFleeting(t, there, entry)
					if known {
						must(here.ListCatalogApps(t.Context(), store.CatalogFilter{}, fullPage(store.ColumnCanonicalName)))(t)
					}
					after.set(what == "patch", func() {
						removeFleeting(t, there, key, entry.ID)
						if known { // and the snapshot does not have it any more
							must(here.ListVendors(t.Context(), "", fullPage(store.ColumnName)))(t)
						}
					})
					app, err := use(key)
					if err != nil {
						t.Errorf("%s: %v", what, err)
						continue
					}
					wantJSON(t, what+" shows", app.Catalog, entry)
					if app.Catalog.Tag() != entry.Tag() || app.ID != key.ID {
						t.Errorf("%s: %s with the tag %s, want %s", what, app.ID, app.Catalog.Tag(), entry.Tag())
					}
					if _, err := use(key); err == nil {
						t.Errorf("%s: it is still there", what)
					}
				}
				_, err := here.GetCatalogApp(ctx, fleetingID(t, there))
				if _, ok := errors.AsType[*store.NotFoundError](err); !ok {
					t.Errorf("a catalog app that was deleted: %v", err)
				}
			})
		})
	}
}

func fleeting(t *testing.T, s *store.Store) *store.CatalogApp {
	t.Helper()
	fields := store.Fields{
		store.ColumnCanonicalName: "Fleeting", store.ColumnVendorID: storetest.VendorID, store.ColumnDescription: "ß \u2028",
	}
	return must(s.CreateCatalogApp(t.Context(), fields, []uuid.UUID{storetest.CategoryID}))(t)
}

// fleetingID is the id of an entry that was there for a moment.
func fleetingID(t *testing.T, s *store.Store) uuid.UUID {
	t.Helper()
	entry := fleeting(t, s)
	if err := s.DeleteCatalogApp(t.Context(), entry.ID, nil); err != nil {
		t.Fatal(err)
	}
	return entry.ID
}

func addFleeting(t *testing.T, s *store.Store, entry *store.CatalogApp) store.AppKey {
	t.Helper()
	app := must(s.AddApp(t.Context(), storetest.ClientID, entry.ID, nil, alice))(t)
	return store.AppKey{ClientID: app.ClientID, ID: app.ID}
}

func removeFleeting(t *testing.T, s *store.Store, key store.AppKey, entry uuid.UUID) {
	t.Helper()
	if err := errors.Join(s.RemoveApp(t.Context(), key, alice, nil), s.DeleteCatalogApp(t.Context(), entry, nil)); err != nil {
		t.Errorf("remove: %v", err)
	}
}

// TestEntryThatNobodyKnowsAnyMore is TestEntryRemovedBetweenReadAndShow where the database has forgotten the entry too. Who
// reads is told that the app is gone, and of a patch that was written nobody says that it was not.
func TestEntryThatNobodyKnowsAnyMore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		t.Parallel()
		there, db := openSeeded(t, url, storetest.Page()), storetest.SQL(t, url)
		here, ctx, after := interrupted(t, url)
		for what, use := range appReaders(ctx, here) {
			get(t, here, pageApp)
			entry := fleeting(t, there)
			key := addFleeting(t, there, entry)
			after.set(what == "patch", func() {
				removeFleeting(t, there, key, entry.ID)
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
			case "search": // which has seen the entry, so that it is still in the snapshot
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

// TestNewEntryIsLoadedOnce: many who meet an app of an entry that this server does not have yet load the catalog once.
func TestNewEntryIsLoadedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		t.Parallel()
		there := openSeeded(t, url, storetest.Page())
		here := openWithoutPolling(t, url)
		get(t, here, pageApp)
		key := addFleeting(t, there, fleeting(t, there))
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
		if loads := here.Stats().Catalog.Loads - before; loads == 0 || loads > 2 { // one may have begun before the last asked
			t.Errorf("the catalog was loaded %d times", loads)
		}
	})
}

// TestCatalogWriteDoesNotWaitForTheSnapshot: what was written to the catalog is answered as it was written, also when this
// server cannot show it yet.
func TestCatalogWriteDoesNotWaitForTheSnapshot(t *testing.T) {
	t.Parallel()
	for name, hinder := range map[string]func(*testing.T, *store.Store){
		"slow":    func(t *testing.T, s *store.Store) { t.Helper(); t.Cleanup(store.HoldLoad(s)) },
		"failing": failLoads,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, url string) {
				t.Parallel()
				s := openSeeded(t, url, catalogData())
				doomed := must(s.CreateCatalogApp(t.Context(), store.Fields{store.ColumnCanonicalName: "Doomed"}, nil))(t)
				hinder(t, s)
				var made, updated *store.CatalogApp
				var maker store.Vendor
				var category store.Category
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				var writes sync.WaitGroup
				for _, write := range []func() (err error){
					func() (err error) {
						made, err = s.CreateCatalogApp(ctx, store.Fields{store.ColumnCanonicalName: "New"}, []uuid.UUID{idOf("video")})
						return err
					},
					func() (err error) {
						updated, err = s.UpdateCatalogApp(ctx, storetest.CatalogID, store.Fields{store.ColumnLogo: nil}, nil, nil)
						return err
					},
					func() (err error) { return s.DeleteCatalogApp(ctx, doomed.ID, nil) },
					func() (err error) { maker, err = s.CreateVendor(ctx, vendor("Vendor")); return err },
					func() (err error) {
						category, err = s.UpdateCategory(ctx, idOf("Audio"), vendor("Sound"), nil)
						return err
					},
					func() (err error) {
						_, err = s.ImportCatalog(ctx, catalogRows(catalogRow("Imported", nil)), store.ImportOptions{})
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

// failLoads has every load of the catalog fail.
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
