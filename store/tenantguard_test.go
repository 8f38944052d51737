package store_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
	"github.com/clientapps/clientapps/store/tenant"
	"github.com/clientapps/clientapps/store/tenant/tenanttest"
)

// mistakes are statements that a programmer could write, or gorm could build, by mistake. Each would read or write apps of other clients.
var mistakes = map[string]func(db *gorm.DB) error{
	"find all":         func(db *gorm.DB) error { return db.Find(&[]store.App{}).Error },
	"find all changes": func(db *gorm.DB) error { return db.Find(&[]store.AppChange{}).Error },
	"take by id":       func(db *gorm.DB) error { return db.Where("id = ?", storetest.AppID).Take(&store.App{}).Error },
	"first by key":     func(db *gorm.DB) error { return db.First(&store.App{ID: storetest.AppID}).Error },
	"count":            func(db *gorm.DB) error { return db.Model(&store.App{}).Count(new(int64)).Error },
	"pluck":            func(db *gorm.DB) error { return db.Model(&store.App{}).Pluck("id", &[]uuid.UUID{}).Error },
	"no value":         func(db *gorm.DB) error { return db.Where("client_id IS NOT NULL").Find(&[]store.App{}).Error },
	"another operator": func(db *gorm.DB) error { return db.Where("client_id <> ?", uuid.Nil).Find(&[]store.App{}).Error },
	"itself":           func(db *gorm.DB) error { return db.Where("client_id = client_id").Find(&[]store.App{}).Error },
	"an expression": func(db *gorm.DB) error {
		return db.Where("client_id = ?", clause.Expr{SQL: "client_id"}).Find(&[]store.App{}).Error
	},
	"many clients":   func(db *gorm.DB) error { return db.Where("client_id IN ?", bothClients).Find(&[]store.App{}).Error },
	"a list as one":  func(db *gorm.DB) error { return db.Where("client_id = ?", bothClients).Find(&[]store.App{}).Error },
	"not the client": func(db *gorm.DB) error { return db.Not("client_id = ?", storetest.ClientID).Find(&[]store.App{}).Error },
	"opened by or":   func(db *gorm.DB) error { return pageTenant(db).Or("is_approved = ?", false).Find(&[]store.App{}).Error },
	"opened by its own": func(db *gorm.DB) error {
		return db.Where("client_id = ? OR 1 = 1", storetest.ClientID).Find(&[]store.App{}).Error
	},
	"nothing set": func(db *gorm.DB) error { return db.Where(&store.App{ID: storetest.AppID}).Find(&[]store.App{}).Error },
	"update by model": func(db *gorm.DB) error {
		return db.Model(&store.App{ID: storetest.AppID}).Updates(map[string]any{"is_favorite": true}).Error
	},
	"update by id": func(db *gorm.DB) error {
		return db.Model(&store.App{}).Where("id = ?", storetest.AppID).Update("is_favorite", true).Error
	},
	"update all": func(db *gorm.DB) error {
		return db.Session(&gorm.Session{AllowGlobalUpdate: true}).Model(&store.App{}).Update("is_favorite", true).Error
	},
	"update to another client": func(db *gorm.DB) error {
		return pageTenant(db).Model(&store.App{}).Update("client_id", storetest.OtherClientID).Error
	},
	"update returning": func(db *gorm.DB) error {
		return db.Model(&store.App{}).Clauses(clause.Returning{}).Where("id = ?", storetest.AppID).Update("is_favorite", true).Error
	},
	"save": func(db *gorm.DB) error {
		return db.Model(&store.App{}).Where("id = ?", storetest.AppID).UpdateColumn("is_favorite", true).Error
	},
	"delete by id":  func(db *gorm.DB) error { return db.Where("id = ?", storetest.AppID).Delete(&store.App{}).Error },
	"delete by key": func(db *gorm.DB) error { return db.Delete(&store.App{ID: storetest.AppID}).Error },
	"delete all": func(db *gorm.DB) error {
		return db.Session(&gorm.Session{AllowGlobalUpdate: true}).Delete(&store.App{}).Error
	},
	"delete by subquery": func(db *gorm.DB) error {
		return db.Where("id IN (?)", pageTenant(db).Model(&store.App{}).Select("id")).Delete(&store.App{}).Error
	},
	"insert over another's": func(db *gorm.DB) error {
		row := app("Contoso", "x")
		return db.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "id"}}, DoUpdates: clause.AssignmentColumns([]string{"is_favorite"}),
		}).Create(&row).Error
	},
	"insert without client": func(db *gorm.DB) error {
		return db.Table("apps").Create(map[string]any{"id": uuid.New()}).Error
	},
	"raw": func(db *gorm.DB) error {
		return db.Raw("SELECT * FROM apps WHERE id = ?", storetest.AppID).Scan(&[]store.App{}).Error
	},
	"raw into a model": func(db *gorm.DB) error {
		return db.Raw("SELECT * FROM apps WHERE id = ?", storetest.AppID).Find(&[]store.App{}).Error
	},
	"exec": func(db *gorm.DB) error {
		return db.Exec("UPDATE apps SET is_favorite = true WHERE id = ?", storetest.AppID).Error
	},
	"rows": func(db *gorm.DB) error {
		rows, err := db.Table("apps").Rows()
		if err == nil {
			err = errors.Join(rows.Err(), rows.Close())
		}
		return err
	},
	"join": func(db *gorm.DB) error {
		return db.Table("catalog_apps").Joins("JOIN apps ON apps.catalog_app_id = catalog_apps.id").Find(&[]store.CatalogApp{}).Error
	},
	"join of a client's app": func(db *gorm.DB) error {
		return db.Table("apps AS a").Joins("JOIN apps AS b ON b.catalog_app_id = a.catalog_app_id").
			Where("a.client_id = ?", storetest.ClientID).Select("b.*").Find(&[]store.App{}).Error
	},
	"subquery": func(db *gorm.DB) error {
		return db.Where("id IN (?)", db.Model(&store.App{}).Select("catalog_app_id")).Find(&[]store.CatalogApp{}).Error
	},
	"a table behind a statement": func(db *gorm.DB) error {
		return db.Table("(?) AS held", db.Model(&store.App{})).Count(new(int64)).Error
	},
	"two statements": func(db *gorm.DB) error {
		return db.Exec("SELECT 1; DELETE FROM apps").Error
	},
	"the handle, and rows of another client": func(db *gorm.DB) error {
		rows := []store.App{app("Contoso", "x")}
		rows[0].ClientID = storetest.OtherClientID
		return pageTenant(db).Create(&rows).Error
	},
	"the handle, and a key of all clients": func(db *gorm.DB) error {
		row := app("Contoso", "x")
		row.ClientID = storetest.ClientID
		return pageTenant(db).Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "id"}}, DoUpdates: clause.AssignmentColumns([]string{"is_favorite"}),
		}).Create(&row).Error
	},
	"the handle, and a struct of fields": func(db *gorm.DB) error {
		return pageTenant(db).Model(&store.App{}).Updates(&store.App{ClientID: storetest.OtherClientID}).Error
	},
	"the handle, and a join": func(db *gorm.DB) error {
		return pageTenant(db).Joins("JOIN app_changes AS c ON c.app_id = apps.id").Find(&[]store.App{}).Error
	},
	"the handle, and all apps behind it": func(db *gorm.DB) error {
		return pageTenant(db).Where("catalog_app_id IN (?)", db.Model(&store.App{}).Select("catalog_app_id")).Find(&[]store.App{}).Error
	},
	"the condition by hand": func(db *gorm.DB) error {
		return db.Where("client_id = ?", storetest.ClientID).Find(&[]store.App{}).Error
	},
	"the tokens of all": func(db *gorm.DB) error { return db.Find(&[]store.TokenClient{}).Error },
}

var bothClients = []uuid.UUID{storetest.ClientID, storetest.OtherClientID}

func pageTenant(db *gorm.DB) *gorm.DB { return tenant.Of(db, storetest.ClientID) }

func refusedByGuard(err error) bool {
	var refused *tenant.UnscopedStatementError
	return errors.As(err, &refused)
}

func TestTenantGuardRefusesMistakes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		before := dump(t, url, store.PerClient()...)
		for _, name := range slices.Sorted(maps.Keys(mistakes)) {
			for where, db := range map[string]*gorm.DB{
				"writing": store.Write(s).WithContext(t.Context()), "reading": store.Read(s).WithContext(t.Context()),
			} {
				if err := mistakes[name](db); !refusedByGuard(err) {
					t.Errorf("%s, %s: %v", name, where, err)
				}
			}
			err := store.Write(s).WithContext(t.Context()).Transaction(mistakes[name])
			if !refusedByGuard(err) {
				t.Errorf("%s, in a transaction: %v", name, err)
			}
			err = store.Write(s).WithContext(t.Context()).Connection(func(conn *gorm.DB) error {
				return mistakes[name](conn.Session(&gorm.Session{NewDB: true, Context: t.Context()}))
			})
			if !refusedByGuard(err) {
				t.Errorf("%s, on a connection: %v", name, err)
			}
			err = mistakes[name](store.Write(s).WithContext(t.Context()).Session(&gorm.Session{DryRun: true}))
			if !refusedByGuard(err) {
				t.Errorf("%s, to be sent by other means: %v", name, err)
			}
		}
		if after := dump(t, url, store.PerClient()...); after != before {
			t.Errorf("written:\n%s", after)
		}
	})
}

// TestTenantGuardPassesWhatIsDeclared runs declared statements. The next statement of the same session is refused again.
func TestTenantGuardPassesWhatIsDeclared(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page(), storetest.Unchecked)
		err := store.Write(s).WithContext(t.Context()).Transaction(func(tx *gorm.DB) error {
			var apps []store.App
			if err := tenant.CrossTenant(tx, "a test").Find(&apps).Error; err != nil || len(apps) < 2 {
				t.Errorf("%d apps, %v", len(apps), err)
			}
			if err := tenant.CrossTenant(tx, "a test").Model(&store.App{}).Where("true").Update("name_key", "x").Error; err != nil {
				t.Error(err)
			}
			return tx.Find(&apps).Error
		})
		if !refusedByGuard(err) {
			t.Errorf("after the declared statement: %v", err)
		}
	})
}

// TestTenantGuardRefusalIsAFault checks that a refused statement is an internal error, which callers get no details of.
func TestTenantGuardRefusalIsAFault(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		err := fmt.Errorf("list apps: %w", store.Read(s).WithContext(t.Context()).Find(&[]store.App{}).Error)
		var unavailable *store.UnavailableError
		if errors.As(err, &unavailable) || errors.Is(err, context.Canceled) {
			t.Errorf("%v passes for trouble of the database", err)
		}
		if text := err.Error(); !strings.Contains(text, `no condition on client_id (table "apps")`) {
			t.Errorf("%s does not say which statement", text)
		}
	})
}

// TestTenantGuardCoversEveryTable checks that the guard covers each table with a client_id, and that no view reads one.
func TestTenantGuardCoversEveryTable(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, _ *store.Store) {
		db := storetest.SQL(t, url)
		tables := "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'client_id'"
		views := `SELECT count(*) FROM pg_class AS c WHERE relkind IN ('v', 'm') AND relnamespace = 'public'::regnamespace
			AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')` // of extensions
		if strings.HasPrefix(url, "sqlite:") {
			tables = "SELECT m.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE c.name = 'client_id'"
			views = "SELECT count(*) FROM sqlite_master WHERE type = 'view' AND name <> 'catalog_author'" // of catalog_state alone
		}
		rows := must(db.QueryContext(t.Context(), tables))(t)
		defer rows.Close()
		var found []string
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				t.Fatal(err)
			}
			found = append(found, name)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		slices.Sort(found)
		if want := slices.Sorted(slices.Values(store.PerClient())); !slices.Equal(found, want) {
			t.Errorf("the tables with a client_id are %v, and the guard covers %v", found, want)
		}
		if n := queryOne[int](t, db, views); n != 0 {
			t.Errorf("%d views", n)
		}
	})
}

// declared are the cross-tenant statements, by the function that sends them, with the reason.
var declared = map[string]string{
	"UpdateCatalogApp": "the apps of all clients repeat the name",
	"Seed":             "rows of many clients, as they are given",
	"loadClientIDs":    "a token says which clients it covers",
	"visibleTo":        "a token sees the tokens whose clients it covers",
	"CreateToken":      "a token may cover many clients",
	"prunable":         "the history of all clients is pruned",
	"webhooks":         "a webhook may follow all clients",
	"changedClients":   "webhooks of all clients are marked",
	"clients":          "a token follows the changes of all clients that it covers",
}

// bypassesGorm are the functions that bypass gorm, and so the guard, with the reason.
var bypassesGorm = map[string]string{
	"read":         "statements that gorm has built of the handle's condition: see take and find",
	"readByClient": "statements that gorm has built of the handle's condition",
	"onConnOnce":   "statements that gorm has built of the handle's condition, and lockAvailable: see patchstatement.go",
	"schema":       "the schema, and its version",
	"poolStats":    "sends nothing",
}

// leftToTests are mistakes that only the check of all statements of tests finds, since the guard does not read their text.
var leftToTests = map[string]string{
	"a condition that reads all clients": `SELECT * FROM "catalog_apps" WHERE id IN (SELECT catalog_app_id FROM apps)`,
	"a count of all clients":             `SELECT name, (SELECT count(*) FROM apps) AS apps FROM "clients"`,
	"an alternative in text":             "SELECT * FROM apps WHERE client_id = $1 AND is_favorite OR\nis_approved",
	"beneath gorm":                       `UPDATE apps SET is_favorite = true WHERE id = $1`,
}

func TestStatementsOfTestsAreChecked(t *testing.T) {
	t.Parallel()
	for name, text := range leftToTests {
		if checkScope(text) == nil || storetest.CheckStatement(text) == nil {
			t.Errorf("%s: passes", name)
		}
	}
}

// checkScope returns an error for a statement that is not limited to one client.
func checkScope(text string) error {
	_, err := tenanttest.Check(text, store.PerClient())
	return err
}

func TestCrossTenantStatementsAreListed(t *testing.T) {
	t.Parallel()
	passing, around := map[string]string{}, map[string]string{}
	for _, name := range must(filepath.Glob("*.go"))(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file := must(parser.ParseFile(token.NewFileSet(), name, nil, 0))(t)
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				fun, ok := call.Fun.(*ast.SelectorExpr)
				switch {
				case !ok:
				case fun.Sel.Name == "CrossTenant":
					passing[f.Name.Name] = must(strconv.Unquote(call.Args[1].(*ast.BasicLit).Value))(t)
				case fun.Sel.Name == "Lend" || fun.Sel.Name == "Ready" && len(call.Args) == 0 || fun.Sel.Name == "DB" && len(call.Args) == 0:
					around[f.Name.Name] = bypassesGorm[f.Name.Name]
				}
				return true
			})
		}
	}
	wantJSON(t, "what is declared", passing, declared)
	wantJSON(t, "what goes around gorm", around, bypassesGorm)
}

// A template's client may be any expression: it may be built, and not sent.
func TestTemplatesAreNotSent(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		db := store.Read(s).WithContext(t.Context())
		template := func(db *gorm.DB) error {
			return tenant.Template(db, clause.Expr{SQL: "client_id"}).Find(&[]store.App{}).Error
		}
		if err := template(db); !refusedByGuard(err) {
			t.Errorf("sent: %v", err)
		}
		if err := template(db.Session(&gorm.Session{DryRun: true})); err != nil {
			t.Errorf("built: %v", err)
		}
	})
}

// TestStatementsAreTold keeps the check of all tests' statements from checking nothing: the store tells what it reads and writes,
// also beneath gorm.
func TestStatementsAreTold(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		var mu sync.Mutex
		var told []string
		s := openSeeded(t, url, storetest.Page(), func(cfg *store.Config) {
			cfg.OnStatement = func(statement string) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, statement)
			}
		})
		for _, c := range []struct {
			want string
			run  func() error
		}{
			{`^SELECT .* FROM .apps. WHERE client_id`, func() error { _, err := s.GetApp(t.Context(), pageApp); return err }},
			{`^UPDATE .apps. SET`, func() error {
				_, err := s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: true}, writer, nil)
				return err
			}},
			{`^DELETE FROM .apps. WHERE client_id`, func() error { return s.RemoveApp(t.Context(), pageApp, writer, nil) }},
			{`^SELECT .* FROM .app_changes. WHERE client_id`, func() error {
				_, err := s.ListAppChanges(t.Context(), pageApp, fullPage(""))
				return err
			}},
		} {
			mu.Lock()
			told = nil
			mu.Unlock()
			if err := c.run(); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			if !slices.ContainsFunc(told, regexp.MustCompile(c.want).MatchString) {
				t.Errorf("%s was not told, but %q", c.want, told)
			}
			mu.Unlock()
		}
	})
}
