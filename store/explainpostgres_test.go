package store_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/clientapps/clientapps/store/storetest"
)

// TestPlansOnPostgres has PostgreSQL itself tell the plan of every statement that it runs, those of triggers and of foreign
// keys included: as it plans for the values that it is given, and as it plans once for all values.
func TestPlansOnPostgres(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	w := newPlanFixture(t, url)
	if _, err := storetest.SQL(t, url).ExecContext(t.Context(), "VACUUM (ANALYZE)"); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		t.Run(mode, func(t *testing.T) { checkCases(t, w, postgresRecorder(t, url, mode)) })
	}
	checkRules(t, storetest.SQL(t, url), w, postgresRecorder(t, url, "auto"))
}

func postgresRecorder(t *testing.T, target, mode string) planRecorder {
	t.Helper()
	wire := &planProxy{}
	s := openWithoutPolling(t, wire.listen(t, target, mode))
	return planRecorder{store: s, plans: wire.take, batch: "patch_number"}
}

// planProxy stands between a store and PostgreSQL and keeps the plans that the server tells the client.
type planProxy struct {
	target string
	mu     sync.Mutex
	plans  []plan
	errs   []error
}

// listen returns the URL to connect to instead of target. auto_explain is part of PostgreSQL.
func (w *planProxy) listen(t *testing.T, target, mode string) string {
	t.Helper()
	u := must(url.Parse(target))(t)
	w.target = u.Host
	listener := must((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go w.pass(t.Context(), conn)
		}
	}()
	u.Host = listener.Addr().String()
	query := u.Query()
	for name, value := range map[string]string{
		"sslmode": "disable", "plan_cache_mode": mode, "session_preload_libraries": "auto_explain",
		"auto_explain.log_min_duration": "0", "auto_explain.log_format": "json", "auto_explain.log_level": "notice",
		"auto_explain.log_analyze": "on", "auto_explain.log_timing": "off", "auto_explain.log_nested_statements": "on",
	} {
		query.Set(name, value)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// pass hands everything on, and keeps the notices.
func (w *planProxy) pass(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", w.target)
	if err != nil {
		w.fail(err)
		return
	}
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	messages := pgproto3.NewFrontend(server, server)
	for {
		message, err := messages.Receive()
		if err != nil {
			return // one of the two has hung up
		}
		if notice, ok := message.(*pgproto3.NoticeResponse); ok {
			w.note(notice.Message)
		}
		text, err := message.Encode(nil)
		if err == nil {
			_, err = client.Write(text)
		}
		if err != nil {
			return
		}
	}
}

func (w *planProxy) note(message string) {
	_, text, found := strings.Cut(message, "plan:\n")
	if !found {
		return
	}
	var told struct {
		Text string   `json:"Query Text"`
		Plan planNode `json:"Plan"`
	}
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		w.fail(err)
		return
	}
	p := plan{sql: told.Text, text: text}
	told.Plan.addTo(&p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plans = append(w.plans, p)
}

func (w *planProxy) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, err)
}

func (w *planProxy) take(t *testing.T) []plan {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := errors.Join(w.errs...); err != nil {
		t.Fatal(err)
	}
	defer func() { w.plans = nil }()
	return w.plans
}

// planNode is a node of a plan as EXPLAIN tells it.
type planNode struct {
	Type      string     `json:"Node Type"`
	Table     string     `json:"Relation Name"`
	Index     string     `json:"Index Name"`
	Condition string     `json:"Index Cond"`
	Rows      float64    `json:"Actual Rows"`
	Nodes     []planNode `json:"Plans"`
}

func (n planNode) addTo(p *plan) {
	switch {
	case strings.HasSuffix(n.Type, "Seq Scan"):
		p.reads = append(p.reads, read{table: n.Table})
	case n.Index != "":
		p.reads = append(p.reads, read{table: cmp.Or(n.Table, tableOf(n.Index)), index: n.Index, condition: n.Condition})
	case strings.HasSuffix(n.Type, "Sort"):
		p.sorted = max(p.sorted, int(n.Nodes[0].Rows))
	}
	for _, below := range n.Nodes {
		below.addTo(p)
	}
}

// tableOf is the table of an index, whose name begins with the table's.
func tableOf(index string) string {
	for _, table := range []string{"app_changes", "client_app_counts", "apps", "clients"} {
		if strings.HasPrefix(index, table) {
			return table
		}
	}
	return index
}
