package main

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// traceCollector receives spans by OTLP over HTTP.
type traceCollector struct {
	*httptest.Server

	mu       sync.Mutex
	spans    []*tracepb.Span
	resource map[string]string
	raw      strings.Builder // everything that was sent
}

func collectTraces(t *testing.T) *traceCollector {
	t.Helper()
	c := &traceCollector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &sent)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s: %v", r.URL.Path, r.Header.Get("Content-Type"), err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw.Write(body)
		for _, resource := range sent.GetResourceSpans() {
			c.resource = attributes(resource.GetResource().GetAttributes())
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func attributes(list []*common.KeyValue) map[string]string {
	found := map[string]string{}
	for _, kv := range list {
		text := kv.GetValue().GetStringValue()
		if n := kv.GetValue().GetIntValue(); n != 0 {
			b, _ := json.Marshal(n)
			text = string(b)
		}
		found[kv.GetKey()] = text
	}
	return found
}

// requestLines returns the lines of a JSON log that are about requests.
func requestLines(t *testing.T, log string) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for text := range strings.Lines(log) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if line["msg"] == "request" {
			lines = append(lines, line)
		}
	}
	return lines
}

const (
	remoteTrace = "0af7651916cd43dd8448eb211c80319c"
	remoteSpan  = "b7ad6b7169203331"
)

// A request is a span in its caller's trace, and each of its statements is a child span. No span shows values from a client.
func TestTraces(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		c := collectTraces(t)
		s := startServe(t, url, "--demo", "--otlp-endpoint", c.URL+"/", "--log-format", "json")
		s.Get(t, "/healthz")
		if got := s.as("demo-token").Patch(t, pageApp, `{"license_count":48151623}`, "Traceparent: 00-"+remoteTrace+"-"+remoteSpan+"-01",
			"Tracestate: vendor=value", "X-Request-Id: of-the-client", "User-Agent: of-the-client"); got.Status != http.StatusOK {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		if code := s.stop(); code != 0 {
			t.Errorf("exit code %d: %s", code, s.stderr)
		}
		if c.resource["service.name"] != "clientapps" || c.resource["service.version"] != programVersion() {
			t.Errorf("spans of %v", c.resource)
		}
		request, statements := c.tree(t)
		if hex.EncodeToString(request.GetTraceId()) != remoteTrace || hex.EncodeToString(request.GetParentSpanId()) != remoteSpan ||
			request.GetTraceState() != "vendor=value" || request.GetKind() != tracepb.Span_SPAN_KIND_SERVER {
			t.Errorf("not in the caller's trace: %v", request)
		}
		want := map[string]string{
			"http.request.method": "PATCH", "http.route": "/v2/clients/{client_id}/apps/{app_id}",
			"http.response.status_code": "200", "url.scheme": "http", "network.protocol.version": "1.1",
		}
		if got := attributes(request.GetAttributes()); len(got) != len(want) {
			t.Errorf("attributes %v", got)
		} else {
			for key, value := range want {
				if got[key] != value {
					t.Errorf("%s is %q", key, got[key])
				}
			}
		}
		updates := 0
		for _, statement := range statements {
			has := attributes(statement.GetAttributes())
			if _, prepares := has["pgx.prepare_stmt.name"]; prepares {
				continue
			}
			if strings.HasPrefix(has["db.query.text"], "UPDATE ") && statement.GetName() == "UPDATE" &&
				statement.GetKind() == tracepb.Span_SPAN_KIND_CLIENT && strings.HasPrefix(url, has["db.system.name"][:6]) {
				updates++
			}
		}
		if updates != 1 {
			t.Errorf("%d updates in %v", updates, statements)
		}
		for _, secret := range []string{
			"demo-token", "48151623", "of-the-client", "aa7cf840-9ca9-46a3-9778-9015d6580d50", "f1a2b3c4-d5e6-7890-abcd-ef1234567890",
		} {
			if strings.Contains(c.raw.String(), secret) {
				t.Errorf("a span shows %s", secret)
			}
		}
		lines := requestLines(t, s.stderr.String())
		if line := lines[len(lines)-1]; line["trace_id"] != remoteTrace || line["span_id"] != hex.EncodeToString(request.GetSpanId()) {
			t.Errorf("log: %v", line)
		}
		if _, ok := lines[0]["trace_id"]; ok {
			t.Errorf("/healthz is traced: %v", lines[0])
		}
	})
}

// tree returns the only request span, updateApp, and its descendants.
func (c *traceCollector) tree(t *testing.T) (request *tracepb.Span, statements []*tracepb.Span) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, span := range c.spans {
		if span.GetName() == "updateApp" {
			request = span
		}
	}
	if request == nil {
		t.Fatalf("no span of the request in %v", c.spans)
	}
	below := map[string]bool{string(request.GetSpanId()): true}
	for found := true; found; {
		found = false
		for _, span := range c.spans {
			if below[string(span.GetParentSpanId())] && !below[string(span.GetSpanId())] {
				below[string(span.GetSpanId())], found = true, true
				statements = append(statements, span)
			}
		}
	}
	if len(statements)+1 != len(c.spans) {
		t.Errorf("%d spans below the request, of %d", len(statements), len(c.spans))
	}
	return request, statements
}

// The caller decides whether a request is traced; otherwise the ratio does. The log has the trace id in any case.
func TestTraceRatio(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ratio, traceparent string
		traced             bool
	}{
		{"0", "", false},
		{"1", "", true},
		{"0", "00-" + remoteTrace + "-" + remoteSpan + "-01", true},
		{"1", "00-" + remoteTrace + "-" + remoteSpan + "-00", false},
		{"1", "00-" + remoteTrace + "-of the client", true},
	} {
		c := collectTraces(t)
		s := startServe(t, storetest.SQLite(t), "--otlp-endpoint", c.URL, "--trace-ratio", test.ratio, "--log-format", "json")
		s.Send(t, servertest.Request{Method: "GET", Target: pageApp, Header: []string{"Traceparent: " + test.traceparent}})
		s.stop()
		if traced := len(c.spans) > 0; traced != test.traced {
			t.Errorf("ratio %s, %q: %v", test.ratio, test.traceparent, c.spans)
		}
		line := requestLines(t, s.stderr.String())[0]
		if id, _ := line["trace_id"].(string); len(id) != 32 || (id == remoteTrace) != strings.Contains(test.traceparent, remoteSpan) {
			t.Errorf("ratio %s, %q: log %v", test.ratio, test.traceparent, line)
		}
	}
}

func TestNoTracesUnlessAsked(t *testing.T) {
	t.Parallel()
	s := startServe(t, storetest.SQLite(t), "--log-format", "json")
	s.Send(t, servertest.Request{Method: "GET", Target: pageApp, Header: []string{"Traceparent: 00-" + remoteTrace + "-" + remoteSpan + "-01"}})
	s.stop()
	if line := requestLines(t, s.stderr.String())[0]; line["trace_id"] != nil || line["span_id"] != nil {
		t.Errorf("log: %v", line)
	}
}

// A failed span has the error status, without the message of the database.
func TestTraceOfAFailure(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		c := collectTraces(t)
		s := startServe(t, url, "--demo", "--otlp-endpoint", c.URL)
		if _, err := storetest.SQL(t, url).ExecContext(t.Context(), "DROP TABLE app_changes"); err != nil {
			t.Fatal(err)
		}
		if got := s.as("demo-token").Patch(t, pageApp, `{"license_count":1}`); got.Status != http.StatusInternalServerError {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		s.stop()
		request, statements := c.tree(t)
		failed := 0
		for _, span := range append(statements, request) {
			if span.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
				failed++
			}
			if span.GetStatus().GetMessage() != "" || len(span.GetEvents()) > 0 {
				t.Errorf("shows an error message: %v", span)
			}
		}
		if failed < 2 || attributes(request.GetAttributes())["error.type"] != "500" {
			t.Errorf("%d spans failed: %v, %v", failed, request, statements)
		}
	})
}

// A server works without its collector, and logs lost spans.
func TestCollectorAway(t *testing.T) {
	t.Parallel()
	s := startServe(t, storetest.SQLite(t), "--otlp-endpoint", "http://127.0.0.1:1")
	s.Get(t, pageApp)
	if code := s.stop(); code != 0 || !strings.Contains(s.stderr.String(), `msg="spans lost" spans=`) {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
}
