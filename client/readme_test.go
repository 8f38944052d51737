package client_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The program in README.md compiles, runs, and prints what stands below it.
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
	dir, err := os.MkdirTemp(".", "readme") // inside of the module, whose package the program imports
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program := fenced("go")
	if lines := strings.Count(program, "\n"); lines > 45 {
		t.Errorf("the program has %d lines", lines)
	}
	program = strings.ReplaceAll(program, "http://127.0.0.1:8080/v2", baseURL)
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", "./"+dir).CombinedOutput()
	if want := fenced("text"); err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}

// Who uses the client downloads no database driver or validator.
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
		t.Errorf("this is no module graph: %s", out)
	}
}
