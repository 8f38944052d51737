package postgres_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// Each transaction is committed or refused by itself, on connections with prepared statements and without.
func TestSendTransactions(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "exec"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, storetest.EmptyPostgres(t)+"&default_query_exec_mode="+mode)
			execute(t, conn, "CREATE TABLE n (id int PRIMARY KEY, after int REFERENCES n DEFERRABLE INITIALLY DEFERRED)")
			insert := func(id, after int) postgres.Statement {
				return postgres.Statement{SQL: "INSERT INTO n VALUES ($1, nullif($2, 0))", Args: []any{id, after}}
			}
			var found []int
			read := postgres.Statement{SQL: "SELECT id FROM n WHERE id < $1 ORDER BY id", Args: []any{100}, Read: func(rows pgx.Rows) (err error) {
				found, err = pgx.CollectRows(rows, pgx.RowTo[int])
				return err
			}}
			wantOutcomes(t, conn, []postgres.Transaction{
				{insert(1, 0), insert(2, 1)},
				{insert(3, 0), insert(1, 0), read},
				{insert(4, 99)}, // refused when it is committed
				{insert(5, 2), read},
			}, "", "23505", "23503", "")
			if !slices.Equal(found, []int{1, 2, 5}) {
				t.Errorf("found %v", found)
			}
			if mode == "exec" {
				return
			}
			// A plan that is out of date is refused once.
			all := postgres.Transaction{{SQL: "SELECT * FROM n"}}
			wantOutcomes(t, conn, []postgres.Transaction{all}, "")
			execute(t, conn, "ALTER TABLE n ADD more int")
			wantOutcomes(t, conn, []postgres.Transaction{all, {insert(6, 0)}}, "0A000", "")
			wantOutcomes(t, conn, []postgres.Transaction{all}, "")
		})
	}
}

// When the connection breaks, the transactions that were not answered are not done.
func TestSendTransactionsBroken(t *testing.T) {
	t.Parallel()
	conn := connect(t, storetest.EmptyPostgres(t))
	end := postgres.Statement{SQL: "SELECT pg_terminate_backend(pg_backend_pid())"}
	done := 0
	err := postgres.SendTransactions(t.Context(), conn, []postgres.Transaction{{{SQL: "SELECT 1"}}, {end}, {{SQL: "SELECT 2"}}}, func(_ int, err error) {
		done++
		if err != nil {
			t.Error(err)
		}
	})
	if done != 1 || !postgres.MayHaveCommitted(err) || !conn.IsClosed() {
		t.Errorf("%d done, then %v", done, err)
	}
	if err := postgres.SendTransactions(t.Context(), conn, []postgres.Transaction{{{SQL: "SELECT 1"}}}, func(int, error) { t.Error("done") }); err == nil {
		t.Error("a closed connection has no error")
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// wantOutcomes sends transactions and compares the SQLSTATE of each; "" is success.
func wantOutcomes(t *testing.T, conn *pgx.Conn, transactions []postgres.Transaction, want ...string) {
	t.Helper()
	var got []string
	err := postgres.SendTransactions(t.Context(), conn, transactions, func(n int, err error) {
		if n != len(got) {
			t.Errorf("%d is done after %d others", n, len(got))
		}
		got = append(got, codeOf(err))
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	if coded, ok := err.(interface{ SQLState() string }); ok {
		return coded.SQLState()
	}
	return fmt.Sprint(err)
}
