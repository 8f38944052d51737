package client_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oapi-codegen/nullable"

	"github.com/clientapps/clientapps/client"
)

// The program in README.md compiles, runs, and prints the output shown below it.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	fenced := func(language string) string {
		_, rest, found := strings.Cut(string(text), "```"+language+"\n")
		block, _, closed := strings.Cut(rest, "```")
		if !found || !closed {
			t.Fatalf("README.md has no block of %s", language)
		}
		return block
	}
	program := fenced("go")
	if lines := strings.Count(program, "\n"); lines > 40 {
		t.Errorf("the program has %d lines", lines)
	}
	// Other tests may have changed the demo's app: reset it.
	begin := client.AppPatch{IsFavorite: new(false), LicenseCount: nullable.NewNullableWithValue[int32](50)}
	if _, err := newClient(t, token).UpdateAppWithResponse(t.Context(), contoso, slack, nil, begin); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(program, "http://127.0.0.1:8080/v2", baseURL)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", file).CombinedOutput() // resolves imports in this module
	if want := fenced("text"); err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}

// The lines in README.md that follow changes print what changes while they run.
func TestReadmeFollow(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```go\nend := ")
	lines, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("README.md has no lines that follow changes")
	}
	program := `package main

import (
	"context"
	"fmt"
	"log"

	"github.com/clientapps/clientapps/client"
)

func main() {
	ctx := context.Background()
	c := must(client.New("` + baseURL + `", "demo-token"))
	end := ` + lines + `}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	built := filepath.Join(dir, "follow")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", built, filepath.Join(dir, "main.go")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	follow := exec.CommandContext(t.Context(), built)
	printed, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = follow.Process.Kill()
		_ = follow.Wait()
	}()
	c := newClient(t, token)
	organization := newOrganization(t, c)
	app := newApp(t, c, organization)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() { // it does not say when it has begun
		for mark := true; ctx.Err() == nil; mark = !mark {
			_, _ = c.UpdateAppWithResponse(ctx, organization, app, nil, client.AppPatch{IsApproved: &mark})
			time.Sleep(100 * time.Millisecond)
		}
		_ = follow.Process.Kill()
	}()
	for line := bufio.NewScanner(printed); line.Scan(); {
		if line.Text() == "is_approved" {
			return
		}
	}
	t.Error("the program did not print a change")
}

// The lines in README.md that export and import compile, and say what would change.
func TestReadmeExport(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```go\nfile := ")
	lines, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("README.md has no lines that export and import")
	}
	c := newClient(t, token)
	organization := newOrganization(t, c)
	for n := range 3 {
		patch := client.AppPatch{IsFavorite: new(n < 2), IsApproved: new(n == 0)}
		if _, err := c.UpdateAppWithResponse(t.Context(), organization, newApp(t, c, organization), nil, patch); err != nil {
			t.Fatal(err)
		}
	}
	program := `package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/client"
)

func main() {
	ctx, contoso := context.Background(), uuid.MustParse("` + organization.String() + `")
	c := must(client.New("` + baseURL + `", "demo-token"))
	file := ` + lines + `}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
`
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", file).CombinedOutput()
	if want := "1 would change, 1 would not\n"; err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}

// The handler in README.md compiles, accepts a signed delivery, and refuses another.
func TestReadmeWebhook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```go\nhttp.HandleFunc(")
	lines, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("README.md has no handler")
	}
	program := `package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/clientapps/clientapps/client"
)

func main() {
	http.HandleFunc(` + lines + `
	for _, body := range os.Args[4:] {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		for i, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
			r.Header.Set(name, os.Args[i+1])
		}
		w := httptest.NewRecorder()
		http.DefaultServeMux.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
}
`
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := newSecret()
	header := delivered(t, time.Now(), changesBody, secret)
	run := exec.CommandContext(t.Context(), "go", "run", file, header.Get("Webhook-Id"), header.Get("Webhook-Timestamp"),
		header.Get("Webhook-Signature"), changesBody, pingBody)
	run.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret)
	out, err := run.CombinedOutput()
	if want := deliveryID + " is_approved\n200\n401\n"; err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}

// Users of the client do not download database drivers or validators.
func TestDependencies(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "all").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, unwanted := range []string{"gorm.io/", "github.com/jackc/", "modernc.org/", "github.com/getkin/"} {
		if strings.Contains(string(out), unwanted) {
			t.Errorf("the module graph has %s", unwanted)
		}
	}
	if !strings.Contains(string(out), "github.com/oapi-codegen/runtime") {
		t.Errorf("not a module graph: %s", out)
	}
}
