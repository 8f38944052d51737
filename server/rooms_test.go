package server_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Bounds of a package that a stranger can still read as a whole.
const (
	mostFiles = 25
	mostLines = 600
)

// TestPackagesStaySmall counts the files of a package and their lines, tests not included. What is too much goes into a package of
// its own.
func TestPackagesStaySmall(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"server", "store"} {
		files, err := filepath.Glob(filepath.Join("..", folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			count++
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if lines := bytes.Count(text, []byte("\n")); lines > mostLines {
				t.Errorf("%s has %d lines, more than %d", file, lines, mostLines)
			}
		}
		if count == 0 || count > mostFiles {
			t.Errorf("%s has %d files, want 1 to %d", folder, count, mostFiles)
		}
	}
}

// TestEchoStaysInThreeFiles keeps a change of echo's version cheap.
func TestEchoStaysInThreeFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	knows := map[string]bool{"routes.go": true, "guard.go": true, "errors.go": true}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		imports := bytes.Contains(text, []byte("\n\t\"github.com/labstack/echo/"))
		if !strings.HasSuffix(file, "_test.go") && imports != knows[file] {
			t.Errorf("%s imports echo: %t", file, imports)
		}
	}
}
