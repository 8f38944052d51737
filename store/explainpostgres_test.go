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

// TestPlansOnPostgres checks the plan of every statement that PostgreSQL runs, including those of triggers and foreign keys, with custom
// plans and with generic plans. PostgreSQL reports the plans itself.
func TestPlansOnPostgres(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	f := newPlanFixture(t, url, planClients)
	if _, err := storetest.SQL(t, url).ExecContext(t.Context(), "VACUUM (ANALYZE)"); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		t.Run(mode, func(t *testing.T) { checkCases(t, f, postgresRecorder(t, url, mode)) })
	}
	checkRules(t, storetest.SQL(t, url), f, postgresRecorder(t, url, "auto"))
}

func postgresRecorder(t *testing.T, target, mode string) planRecorder {
	t.Helper()
	proxy := &planProxy{}
	s := openWithoutPolling(t, proxy.listen(t, target, mode))
	return planRecorder{store: s, plans: proxy.take, share: true}
}

// planProxy forwards connections to PostgreSQL and records the plans that the server sends as notices.
type planProxy struct {
	target string
	mu     sync.Mutex
	plans  []plan
	errs   []error
}

// listen returns the URL of the proxy for target, with settings that let auto_explain, a module of PostgreSQL, send plans.
func (p *planProxy) listen(t *testing.T, target, mode string) string {
	t.Helper()
	u := must(url.Parse(target))(t)
	p.target = u.Host
	listener := must((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.pass(t.Context(), conn)
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

// pass forwards a connection and records the notices.
func (p *planProxy) pass(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		p.fail(err)
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
			return // one side has closed the connection
		}
		if notice, ok := message.(*pgproto3.NoticeResponse); ok {
			p.note(notice.Message)
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

func (p *planProxy) note(message string) {
	_, text, found := strings.Cut(message, "plan:\n")
	if !found {
		return
	}
	var explained struct {
		Text string   `json:"Query Text"`
		Plan planNode `json:"Plan"`
	}
	if err := json.Unmarshal([]byte(text), &explained); err != nil {
		p.fail(err)
		return
	}
	have := plan{sql: explained.Text, text: text}
	explained.Plan.addTo(&have)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans = append(p.plans, have)
}

func (p *planProxy) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs = append(p.errs, err)
}

func (p *planProxy) take(t *testing.T) []plan {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := errors.Join(p.errs...); err != nil {
		t.Fatal(err)
	}
	defer func() { p.plans = nil }()
	return p.plans
}

// planNode is a node of a plan in the JSON of EXPLAIN.
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

// tableOf returns the table of an index, whose name begins with the table's.
func tableOf(index string) string {
	for _, table := range []string{"app_changes", "client_app_counts", "apps", "clients"} {
		if strings.HasPrefix(index, table) {
			return table
		}
	}
	return index
}
