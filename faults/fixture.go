package faults

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// Fixture is the test data: several clients with the same apps, and a token for all of them.
type Fixture struct {
	Token string
	Apps  []App // by client

	databaseURL string // without a proxy
}

// App identifies an app of a client.
type App struct{ Client, ID string }

// clientCount is the number of clients.
const clientCount = 4

// NewFixture migrates a server's database and fills it with the program's own commands. databaseURL is the same database without a
// proxy.
func NewFixture(ctx context.Context, s *Server, databaseURL string, appsPerClient int) (*Fixture, error) {
	fixture := &Fixture{databaseURL: databaseURL}
	if _, err := s.Run(ctx, "", "migrate", "up"); err != nil {
		return nil, err
	}
	names := "canonical_name\n"
	for i := range appsPerClient {
		names += fmt.Sprintf("App %d\n", i)
	}
	if _, err := s.Run(ctx, names, "import", "catalog", "--format", "csv", "-"); err != nil {
		return nil, err
	}
	for i := range clientCount {
		id, err := s.Run(ctx, "", "client", "create", "--name", fmt.Sprintf("Client %d", i))
		if err != nil {
			return nil, err
		}
		if _, err := s.Run(ctx, names, "import", "apps", "--client", id, "--format", "csv", "-"); err != nil {
			return nil, err
		}
	}
	token := []string{"token", "create", "--name", "ledger", "--all-clients"}
	for _, scope := range []string{"apps:read", "apps:write", "catalog:read", "catalog:write", "clients:read", "clients:write", "webhooks:read", "webhooks:write"} {
		token = append(token, "--scope", scope)
	}
	var err error
	if fixture.Token, err = s.Run(ctx, "", token...); err != nil {
		return nil, err
	}
	return fixture, fixture.readApps(ctx)
}

// open connects to the database without a proxy.
func (f *Fixture) open() (*sql.DB, error) {
	if path, ok := strings.CutPrefix(f.databaseURL, "sqlite://"); ok {
		return sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	}
	return sql.Open("pgx", f.databaseURL)
}

func (f *Fixture) readApps(ctx context.Context) error {
	db, err := f.open()
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, "SELECT client_id, id FROM apps ORDER BY client_id, id")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var a App
		if err := rows.Scan(&a.Client, &a.ID); err != nil {
			return err
		}
		f.Apps = append(f.Apps, a)
	}
	return rows.Err()
}
