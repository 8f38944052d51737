package storetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Roles returns the URLs of one new database for the two roles of deploy/roles.sql: the owner, who has migrated it, and the
// server. The URLs bypass the pooler, which would log in with its own role.
func Roles(t testing.TB) (owner, server string) {
	t.Helper()
	ensureRoles(t)
	rolesTemplate.once.Do(func() { rolesTemplate.err = makeRolesTemplate(t) })
	if rolesTemplate.err != nil {
		t.Fatalf("PostgreSQL: %v", rolesTemplate.err)
	}
	database := newDatabase(t, rolesTemplate.name)
	Deploy(t, database, "roles.sql") // for the rights on the database itself, which a copy does not have
	return urlForRole(t, database, "owner"), urlForRole(t, database, "server")
}

// rolesTemplate is a database that its owner has migrated.
var rolesTemplate template

func makeRolesTemplate(t testing.TB) error {
	t.Helper()
	if err := rolesTemplate.create(t.Context(), "clientapps_roles_template"); err != nil {
		return err
	}
	database := databaseURL(rolesTemplate.name)
	Deploy(t, database, "roles.sql")
	migrate(t, urlForRole(t, database, "owner"))
	Deploy(t, database, "roles.sql")
	return nil
}

// Deploy runs a file of deploy/ as a superuser. It gives the roles other names, because all databases of a server share its roles and
// other tests run at the same time.
func Deploy(t testing.TB, database, name string) {
	t.Helper()
	script, err := deployScript(name)
	if err == nil && name == "citus.sql" {
		err = runByPsql(t.Context(), urlForSuperuser(t, database), script)
	} else if err == nil {
		err = run(t.Context(), urlForSuperuser(t, database), script)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// runByPsql runs statements one by one: Citus sends the whole text of what changes a trigger or a function to the workers.
func runByPsql(ctx context.Context, database, script string) error {
	cmd := exec.CommandContext(ctx, "psql", "--no-psqlrc", "--quiet", "--output", os.DevNull, "--set", "ON_ERROR_STOP=1", database) //nolint:gosec // constant arguments
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("psql: %w: %s", err, out)
	}
	return nil
}

// RowSecured is Roles for a database with row-level security.
func RowSecured(t testing.TB) (owner, server string) {
	t.Helper()
	owner, server = Roles(t)
	Deploy(t, owner, "rls.sql")
	return owner, server
}

// rowSecurity reports whether TEST_ROW_SECURITY is set. Then the servers under test run with row security, as a role that owns nothing.
func rowSecurity() bool { return os.Getenv("TEST_ROW_SECURITY") != "" }

const rolePassword = "clientapps" // of roles that exist only while the tests run

var (
	roles     = [...]string{"owner", "server"}
	roleSetup struct {
		once sync.Once
		err  error
	}
)

func roleName(role string) string { return fmt.Sprintf("clientapps_%s_%d", role, os.Getpid()) }

// ensureRoles creates the roles, once for all tests.
func ensureRoles(t testing.TB) {
	t.Helper()
	roleSetup.once.Do(func() { roleSetup.err = createRoles(t.Context()) })
	if roleSetup.err != nil {
		t.Fatalf("PostgreSQL: %v", roleSetup.err)
	}
}

func createRoles(ctx context.Context) error {
	for _, role := range roles {
		if err := admin(ctx, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", roleName(role), rolePassword)); err != nil {
			return err
		}
	}
	return nil
}

// dropRoles drops the roles. Call it after the databases in which they have rights are gone.
func dropRoles(ctx context.Context) error {
	for _, role := range roles {
		if err := admin(ctx, "DROP ROLE IF EXISTS "+roleName(role)); err != nil {
			return err
		}
	}
	return nil
}

// deployScript returns a file of deploy/ with the names of the roles of this test run.
func deployScript(name string) (string, error) {
	folder := filepath.Join("..", "deploy")
	if _, err := os.Stat(folder); err != nil { // the tests are of a package one folder deeper
		folder = filepath.Join("..", folder)
	}
	text, err := os.ReadFile(filepath.Join(folder, name)) //nolint:gosec // a file of this repository
	script := string(text)
	for _, role := range roles {
		script = strings.ReplaceAll(script, "clientapps_"+role, roleName(role))
	}
	return script, err
}

// urlForRole returns the URL of a database for a role.
func urlForRole(t testing.TB, database, role string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(roleName(role), rolePassword)
	return u.String()
}

// urlForSuperuser returns the URL of the same database for the user of TEST_DATABASE_URL.
func urlForSuperuser(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	return databaseURL(strings.TrimPrefix(u.Path, "/"))
}
