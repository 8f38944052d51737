package client_test

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oapi-codegen/nullable"

	"github.com/clientapps/clientapps/client"
)

// The programs in README.md compile, run, and print the output shown below them.
func TestReadme(t *testing.T) {
	text := readme(t)
	programs := regexp.MustCompile("(?s)```go\n(package main\n.*?)```.*?```text\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(programs) != 2 || !strings.HasPrefix(text, "# Go client of clientapps\n\n```go\npackage main\n") {
		t.Fatalf("README.md has %d programs, or does not begin with one", len(programs))
	}
	// Other tests may have changed the demo's app: reset it.
	begin := client.AppPatch{IsFavorite: new(false), LicenseCount: nullable.NewNullableWithValue[int32](50)}
	if _, err := newClient(t, token).UpdateAppWithResponse(t.Context(), contoso, slack, nil, begin); err != nil {
		t.Fatal(err)
	}
	for i, longest := range []int{10, 20} {
		program := programs[i][1]
		_, main, _ := strings.Cut(program, "func main() {\n")
		if main, _, _ = strings.Cut(main, "\n}\n"); strings.Count(main, "\n") >= longest {
			t.Errorf("program %d has more than %d lines", i, longest)
		}
		file := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(program, "http://127.0.0.1:8080/v2", baseURL)), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "go", "run", file).CombinedOutput() // resolves imports in this module
		if want := programs[i][2]; err != nil || string(out) != want {
			t.Errorf("%v\n%s\nwant\n%s", err, out, want)
		}
	}
}

// The program in docs/clients.md, which does what those beside it do in other languages, prints what the page shows.
func TestClientsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```go\n(.*?)```.*?```text\n(.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatal("the page has no program")
	}
	begin := client.AppPatch{IsFavorite: new(false), LicenseCount: nullable.NewNullNullable[int32]()}
	if _, err := newClient(t, token).UpdateAppWithResponse(t.Context(), contoso, slack, nil, begin); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, bytes.ReplaceAll(found[1], []byte("http://127.0.0.1:8080/v2"), []byte(baseURL)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // it ends when it has seen its changes
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "run", file).CombinedOutput()
	if err != nil || !bytes.Equal(out, found[2]) {
		t.Errorf("%v\n%s\nwant\n%s", err, out, found[2])
	}
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The first program in README.md passes go vet in a module of somebody else, which has nothing but the client and what that needs.
func TestModuleFromOutside(t *testing.T) {
	t.Parallel()
	_, rest, _ := strings.Cut(readme(t), "```go\n")
	program, _, _ := strings.Cut(rest, "```")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.go": program, "go.sum": string(sums),
		"go.mod": "module example.com/outside\n\ngo 1.26\n\nrequire github.com/clientapps/clientapps/client v0.0.0\n\n" +
			"replace github.com/clientapps/clientapps/client => " + here + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vet := exec.CommandContext(t.Context(), "go", "vet", "-mod=mod", "./...")
	vet.Dir, vet.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// Its dependencies are those that README.md counts, and nothing of the server.
	list := exec.CommandContext(t.Context(), "go", "list", "-mod=mod", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
	list.Dir, list.Env = dir, vet.Env
	out, err := list.Output()
	modules := slices.Compact(slices.Sorted(strings.FieldsSeq(string(out))))
	if err != nil || slices.Contains(modules, "github.com/clientapps/clientapps") || len(modules) > 2+5 {
		t.Errorf("%v, %v", modules, err)
	}
}

// README.md names the version of the contract that the client is made from.
func TestReadmeVersion(t *testing.T) {
	t.Parallel()
	contract, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^  version: (\S+)$`).FindSubmatch(contract)
	if version == nil || !strings.Contains(readme(t), "It is made from version "+string(version[1])+" of the contract") {
		t.Errorf("the contract has version %s", version)
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
