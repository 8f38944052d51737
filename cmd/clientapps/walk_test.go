package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var walkFence = regexp.MustCompile("(?s)```shell\n(.*?)```")

// TestWalk runs the commands of docs/import-export.md, on another port.
func TestWalk(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/import-export.md")
	if err != nil {
		t.Fatal(err)
	}
	found := walkFence.FindStringSubmatch(string(text))
	if found == nil || strings.Count(found[1], "\n") > 20 {
		t.Fatalf("docs/import-export.md has no example of at most twenty lines: %q", found)
	}
	checkout := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "contract.go", "openapi.yaml", "cmd", "examples", "gen", "mcp", "operations", "server", "shell", "store", "webhook"} {
		if err := exec.CommandContext(t.Context(), "cp", "-R", filepath.Join("../..", name), checkout).Run(); err != nil {
			t.Fatalf("copy %s: %v", name, err)
		}
	}
	address := freeAddress(t)
	shell := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", strings.ReplaceAll(found[1], "127.0.0.1:8080", address))
	shell.Dir = checkout
	// With -trimpath, what make build compiled is not compiled again for this folder.
	shell.Env = append(os.Environ(), "CLIENTAPPS_ADDR="+address, "GOFLAGS="+os.Getenv("GOFLAGS")+" -trimpath")
	var stderr strings.Builder
	shell.Stderr = &stderr
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr.String())
	}
	for _, want := range []string{"50 rows: 50 created", `"failed":[]}`, `"is_approved":true`, `"total_count":1,`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in the output:\n%s", want, out)
		}
	}
}

// freeAddress returns a free loopback address.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
