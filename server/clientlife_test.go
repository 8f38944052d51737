package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func clientSuspended(client string) string {
	return `{"error":{"code":"conflict","message":"Client is suspended","details":{"client_id":"` + client + `"}}}`
}

// setStatus suspends or activates the client of the reference page.
func setStatus(t *testing.T, s *servertest.Server, status string) {
	t.Helper()
	if got := s.Patch(t, clientPath, `{"status":"`+status+`"}`); got.Status != http.StatusOK || !strings.Contains(got.Body, `"status":"`+status+`"`) {
		t.Fatalf("%s: %d %s", status, got.Status, got.Body)
	}
}

// TestSuspendedClient sends every operation of the contract for a suspended client. Those that write to its apps are refused with the same
// answer on both servers, the others succeed.
func TestSuspendedClient(t *testing.T) {
	t.Parallel()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		withNewEntry(t, s)
		there := servertest.New(t, s.DatabaseURL)
		f := newFixture(t, s)
		setStatus(t, s, "suspended")
		before := f.content(t)
		refused := 0
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				if !strings.HasPrefix(path, "/clients/{client_id}/apps") {
					continue
				}
				r := requests[op.OperationID]
				for _, server := range []*servertest.Server{s, there} {
					got := server.Send(t, servertest.Request{Method: r.method, Target: r.target, Body: r.body})
					if method == http.MethodGet {
						if got.Status != http.StatusOK {
							t.Errorf("%s: %d %s", op.OperationID, got.Status, got.Body)
						}
						continue
					}
					refused++
					if got.Status != http.StatusConflict || got.Body != clientSuspended(clientID)+"\n" {
						t.Errorf("%s: %d %s", op.OperationID, got.Status, got.Body)
					}
				}
			}
		}
		if refused < 16 || f.content(t) != before {
			t.Errorf("%d requests were refused; something was written: %t", refused, f.content(t) != before)
		}
		for _, body := range []string{`{}`, `{"is_favorite":false}`} {
			if got := there.Patch(t, appPath, body); got.Status != http.StatusConflict {
				t.Errorf("%s: %d %s", body, got.Status, got.Body)
			}
		}
		setStatus(t, there, "active")
		if got := s.Patch(t, appPath, `{"is_favorite":true}`); got.Status != http.StatusOK {
			t.Errorf("after the client was activated: %d %s", got.Status, got.Body)
		}
	})
}

// TestCreateClientWithID repeats the creation of a client, also when the client was deleted in between.
func TestCreateClientWithID(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		const own = "0f0f0f0f-1111-2222-3333-444444444444"
		conflict := `{"error":{"code":"conflict","message":"The id belongs to another client, or to one that was deleted","details":{"client_id":"` +
			own + `"}}}` + "\n"
		create := servertest.Request{Method: http.MethodPost, Target: "/v2/clients", Body: `{"id":"` + strings.ToUpper(own) + `","name":"Fabrikam"}`}
		made := s.Send(t, create)
		if made.Status != http.StatusCreated || made.Header.Get("Location") != "/v2/clients/"+own {
			t.Fatalf("%d %s, at %s", made.Status, made.Body, made.Header.Get("Location"))
		}
		if got := s.Get(t, "/v2/clients/"+own); got.Body != made.Body {
			t.Errorf("read: %s, created: %s", got.Body, made.Body)
		}
		if got := s.Send(t, create); got.Status != http.StatusConflict || got.Body != conflict {
			t.Errorf("again: %d %s", got.Status, got.Body)
		}
		remove := servertest.Request{Method: http.MethodDelete, Target: "/v2/clients/" + own}
		if got := s.Send(t, remove); got.Status != http.StatusConflict ||
			got.Body != strings.Replace(clientSuspended(own), "Client is suspended", "Client is not suspended", 1)+"\n" {
			t.Errorf("deleted while active: %d %s", got.Status, got.Body)
		}
		s.Patch(t, "/v2/clients/"+own, `{"status":"suspended"}`)
		if got := s.Send(t, remove); got.Status != http.StatusNoContent || got.Body != "" {
			t.Errorf("deleted: %d %s", got.Status, got.Body)
		}
		if got := s.Send(t, remove); got.Status != http.StatusNotFound || got.Body != noClient(own)+"\n" {
			t.Errorf("deleted again: %d %s", got.Status, got.Body)
		}
		if got := s.Send(t, create); got.Status != http.StatusConflict || got.Body != conflict {
			t.Errorf("created after it was deleted: %d %s", got.Status, got.Body)
		}
	})
}

// TestDeletionInPieces deletes a client while another transaction has its row, so that nothing can be erased. The answer is 202, again
// for another DELETE, and 404 for every other operation. When the row is free, the server goes on by itself.
func TestDeletionInPieces(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.Postgres(t))
	withNewEntry(t, s)
	db := storetest.SQL(t, s.DatabaseURL)
	_, limited := s.NewToken(t, store.Token{Name: "limited", Scopes: "apps:read clients:read clients:write", ClientIDs: []uuid.UUID{storetest.ClientID}})
	secret, _ := s.NewToken(t, store.Token{Name: "of the client", Scopes: "clients:write", ClientIDs: []uuid.UUID{storetest.ClientID}})
	if got := (&servertest.Client{URL: s.URL, Token: secret}).Send(t, servertest.Request{Method: http.MethodDelete, Target: clientPath}); got.Status != 403 {
		t.Errorf("with a token that does not cover all clients: %d %s", got.Status, got.Body)
	}
	setStatus(t, s, "suspended")
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "SELECT 1 FROM clients WHERE id = $1 FOR KEY SHARE", clientID); err != nil {
		t.Fatal(err)
	}
	remove := servertest.Request{Method: http.MethodDelete, Target: clientPath}
	for range 2 {
		if got := s.Send(t, remove); got.Status != http.StatusAccepted || got.Body != "" || got.Header.Get("Retry-After") != "2" {
			t.Fatalf("%d %s, Retry-After %s", got.Status, got.Body, got.Header.Get("Retry-After"))
		}
	}
	for name, r := range requests {
		if !strings.HasPrefix(r.target, clientPath) {
			continue
		}
		if got := s.Send(t, servertest.Request{Method: r.method, Target: r.target, Body: r.body}); got.Status != 404 || got.Body != noClient(clientID)+"\n" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if got := s.Get(t, "/v2/clients"); strings.Contains(got.Body, clientID) || !strings.Contains(got.Body, `"total_count":2`) {
		t.Errorf("the list of clients is %s", got.Body)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := t.Context(), time.Now().Add(20*time.Second)
	go s.Store.EraseDeletedClients(ctx)
	for got := s.Send(t, remove); got.Status != http.StatusNotFound; got = s.Send(t, remove) {
		if got.Status == http.StatusNoContent {
			break
		}
		if time.Now().After(stop) {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		time.Sleep(50 * time.Millisecond)
	}
	var left int
	query := fmt.Sprintf("SELECT (SELECT count(*) FROM apps WHERE client_id = '%s') + (SELECT count(*) FROM token_clients WHERE token_id = '%s')",
		clientID, limited.ID)
	if err := db.QueryRowContext(t.Context(), query).Scan(&left); err != nil || left > 0 {
		t.Errorf("%d rows are left, %v", left, err)
	}
}
