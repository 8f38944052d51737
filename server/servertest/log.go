package servertest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Log collects a server's log. When the test ends it checks that there is a complete line for each request and no secret in any
// line.
type Log struct {
	mu      sync.Mutex
	text    bytes.Buffer
	secrets []string
}

// tokens matches every text that is shaped like a token.
var tokens = regexp.MustCompile(`capp_[0-9A-Za-z]{30,}`)

// Line is one line of the log.
type Line map[string]any

// Logger writes to the log.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// Write implements io.Writer.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// Forbid makes the test fail if the log contains this text.
func (l *Log) Forbid(secret string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets = append(l.secrets, secret)
}

// Requests returns the lines about requests, oldest first. A request's line is written before its response is complete, except
// for responses larger than the server's buffer.
func (l *Log) Requests(t testing.TB) []Line {
	t.Helper()
	var lines []Line
	for _, line := range l.Lines(t) {
		if line["msg"] == "request" {
			lines = append(lines, line)
		}
	}
	return lines
}

// Lines returns all lines, oldest first.
func (l *Log) Lines(t testing.TB) []Line {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []Line
	for text := range strings.Lines(l.text.String()) {
		var line Line
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Errorf("log line %q: %v", text, err)
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

func (l *Log) check(t testing.TB, served int) {
	t.Helper()
	lines := l.Requests(t)
	logged := len(lines)
	for _, line := range lines {
		if left, ok := line["not_logged"].(float64); ok {
			logged += int(left)
		}
	}
	if logged < served { // more if the test has a listener of its own
		t.Errorf("log has or counts %d lines about requests, %d were served", logged, served)
	}
	for _, line := range lines {
		for _, key := range []string{"time", "level", "operation_id", "method", "path", "status", "duration", "request_id"} {
			if _, ok := line[key]; !ok {
				t.Errorf("log line lacks %s: %v", key, line)
			}
		}
		_, explained := line["cause"]
		if refused := line["status"] == 503.0 || line["status"] == 429.0; refused != explained {
			t.Errorf("log line with cause %v: %v", line["cause"], line)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text.String()
	if token := tokens.FindString(text); token != "" {
		t.Errorf("the log shows the token %s", token)
	}
	for _, secret := range l.secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the log shows the secret %s", secret)
		}
	}
}
