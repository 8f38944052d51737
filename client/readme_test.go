package client_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
