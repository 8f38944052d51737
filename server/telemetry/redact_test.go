package telemetry

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store/apitoken"
)

// No token appears in any part of a line: message, attributes, groups, errors and the logger's own attributes. The rest of the
// line is unchanged.
func TestRedact(t *testing.T) {
	t.Parallel()
	token, err := apitoken.New()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	log := slog.New(Redact(slog.NewTextHandler(&text, nil)))
	for name, write := range map[string]func(){
		"message":  func() { log.Info("said " + token + " kept") },
		"text":     func() { log.Info("line", "path", "/"+token+"/kept") },
		"error":    func() { log.Info("line", "error", errors.New(token+" kept")) },
		"group":    func() { log.Info("line", slog.Group("of", slog.Group("a", "path", token+" kept"))) },
		"added":    func() { log.With("path", token+" kept").Info("line") },
		"in group": func() { log.WithGroup("of").Info("line", "path", token+" kept") },
		"no token": func() { log.Info("line", "path", "capp_***", "number", 1, "kept", true) },
	} {
		text.Reset()
		write()
		line := text.String()
		if strings.Contains(line, token) || !strings.Contains(line, "capp_***") || !strings.Contains(line, "kept") {
			t.Errorf("%s: %s", name, line)
		}
	}
}
