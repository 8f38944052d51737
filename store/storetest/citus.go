package storetest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// notOnCitus matches the tests and subtests that need something that a distributed database does not have, by reason. They are skipped on
// Citus, and only there.
var notOnCitus = map[string]*regexp.Regexp{
	"a distributed database has no change feed, and no webhooks": regexp.MustCompile("^Test(" +
		// Of the server.
		"ChangeStream|Streams(AreRefused|End|EndAtShutdown)|StreamHeartbeat|MaxStreams|ManyStreams|ProblemsOf(Streams|AllSorts)|ExamplesOfErrors|" +
		"ChangeFeed|ChangesByToken|ChangesOfADeletedClient|Forged(Catalog)?FeedCursors|CatalogChangeFeed|OpenTransactionHoldsTheFeedUp|" +
		"WebhookLife|InvalidWebhooks|WhoMayHaveWebhooks|WebhookLimit|NoKeyForWebhooks|TestWebhook|PrunedWebhook|WebhooksEnd|" +
		"SecretsAreEncrypted|AnotherKey|Deliver|DeliverWhatIsAskedFor|ReceiverIsDownForHours|ReceiverFailsForAWeek|ReceiverSaysHow|" +
		"FailingWebhookIsTriedAtOnce|BothSecretsSign|Replay|ServerDiesDuringDelivery|TwoServersDeliver|DeliverManyOfASuspendedClient|" +
		// Of the store.
		"DeleteClientWithWebhooks|RevokeDisablesWebhooks|PruneAndWebhooks|WebhooksOfAToken|CreateWebhook|WebhookBegins|UpdateWebhook|" +
		"ActivateAfterPruning|RotateWebhookSecret|PruneWebhookDeliveries|WebhookDelivers|WebhookChangesWhileReleased|WebhookLease|" +
		"WebhookChangesMeanwhile|IdleWebhooks|WebhooksMissNothing|ChangesSinceATime|ChangesBeforeTheFeed|CursorsExpire|ChangesOfAToken|" +
		"CatalogFeed|FollowersMissNothing|FollowersBesideAnOlderServer|PruneHistory|PruneEndsAtTheFirstYoungChange|FollowersWhilePruning|" +
		"PruneGoesOn|RenewHistory|ServerRoleMayNotPrune|ChangesKept|AnotherClientsAppIsNotFound/(List|Follow)Changes)$"),
	"it holds the schema of the migrations, or plans, to rules: a distributed one is checked by running it": regexp.MustCompile("^Test(" +
		"Citus(HasEveryTable|Order|LocalTables|AcceptsTheSchema|Rules)|StatementsAreOfOneShard|PlansOnPostgres|BothSchemasHaveTheSameColumns)$"),
	"it reads statistics that PostgreSQL has of its own tables":                                         regexp.MustCompile("^TestPatchesTouchNoIndex$"),
	"it runs migrations of before the tables were distributed, and Citus refuses ADD COLUMN with CHECK": regexp.MustCompile("^TestMigrationRefoldsNames$"),
	"each locked row delays those that are sent with it, by lock_timeout":                               regexp.MustCompile("^TestManyLockedRows$"),
	"a patch of a locked row is in flight for lock_timeout only, and shares no transaction":             regexp.MustCompile("^Test(StatsOfPatches|BatchInDoubtIsResolved)$"),
}

// OnCitus reports whether tools/with-citus runs the tests. Then Postgres returns databases that are distributed over its machines.
func OnCitus() bool { return os.Getenv("TEST_CITUS_WORKERS") != "" }

// Workers returns the URLs of a database of Postgres on each worker.
func Workers(database string) (urls []string) {
	for _, worker := range strings.Fields(os.Getenv("TEST_CITUS_WORKERS")) {
		u, err := url.Parse(database)
		if err != nil {
			return nil // the coordinator has refused it before
		}
		u.Host = worker
		urls = append(urls, u.String())
	}
	return urls
}

func skipOnCitus(t testing.TB) {
	t.Helper()
	if !OnCitus() {
		return
	}
	test, subtest, _ := strings.Cut(t.Name(), "/")
	subtest, _, _ = strings.Cut(subtest, "/")
	for reason, tests := range notOnCitus {
		if tests.MatchString(test) || tests.MatchString(test+"/"+subtest) {
			t.Skip("on Citus: " + reason)
		}
	}
}

// createDistributed makes a database as docs/scale-out.md says.
func createDistributed(t testing.TB) database {
	t.Helper()
	d := database{name: createOnAllServers(t)}
	coordinator := databaseURL(d.name)
	migrate(t, coordinator)
	Distribute(t, coordinator)
	if err := SQL(t, coordinator).QueryRowContext(t.Context(), schemaDigest).Scan(&d.schema); err != nil {
		t.Fatalf("Citus: %v", err)
	}
	return d
}

func createOnAllServers(t testing.TB) (name string) {
	t.Helper()
	name = fmt.Sprintf("clientapps_test_%d_%d", os.Getpid(), databases.Add(1))
	if err := adminOnAllServers(t.Context(), "CREATE DATABASE "+name+" STRATEGY file_copy"); err != nil {
		t.Fatalf("Citus: %v", err)
	}
	return name
}

// EmptyCluster returns the URL of a new database without a schema, which is on every machine and dropped when the test ends. Distribute
// distributes it once it is migrated.
func EmptyCluster(t testing.TB) string {
	t.Helper()
	name := createOnAllServers(t)
	t.Cleanup(func() { dropDatabase(t, name) })
	return databaseURL(name)
}

// Distribute makes a cluster of a migrated database of EmptyCluster.
func Distribute(t testing.TB, coordinator string) {
	t.Helper()
	for _, node := range append(Workers(coordinator), coordinator) {
		if err := run(t.Context(), node, "CREATE EXTENSION citus"); err != nil {
			t.Fatalf("Citus: %v", err)
		}
	}
	statements := []string{CitusCall(t, "citus_set_coordinator_host", coordinator)}
	for _, worker := range Workers(coordinator) {
		statements = append(statements, CitusCall(t, "citus_add_node", worker))
	}
	for _, statement := range statements {
		if err := run(t.Context(), coordinator, statement); err != nil {
			t.Fatalf("Citus: %s: %v", statement, err)
		}
	}
	Deploy(t, coordinator, "citus.sql")
}

// CitusCall returns a call of a function of Citus with the address of a machine.
func CitusCall(t testing.TB, function, machine string) string {
	t.Helper()
	u, err := url.Parse(machine)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("SELECT %s('%s', %s)", function, host, port)
}

// adminOnAllServers runs a statement on the workers, if there are any, and then, by admin, on the server of TEST_DATABASE_URL.
func adminOnAllServers(ctx context.Context, statement string) error {
	for _, worker := range Workers(os.Getenv("TEST_DATABASE_URL")) {
		if err := run(ctx, worker, statement); err != nil {
			return err
		}
	}
	return admin(ctx, statement)
}

// resetWorker empties catalog_changes, which each worker has for itself.
func resetWorker(ctx context.Context, database string) error {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := disconnectOthers(ctx, conn); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "SET lock_timeout = '10s'; TRUNCATE catalog_changes")
	return err
}

// resetDistributed runs statements that empty and fill tables, without triggers and foreign keys, on all machines. TRUNCATE would take a
// second.
func resetDistributed(ctx context.Context, conn *pgx.Conn, statements string) error {
	for _, statement := range []string{ // one by one: a worker gets the whole text of what sets something
		"SET lock_timeout = '10s'", "BEGIN", "SET LOCAL citus.propagate_set_commands = 'local'",
		"SET LOCAL session_replication_role = replica", statements, "COMMIT",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
