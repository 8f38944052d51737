package server_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The largest package and file that can still be read as a whole.
const (
	maxFiles = 25
	maxLines = 600
)

// TestPackagesStaySmall counts the non-test files of each package and their lines. A package that outgrows the bounds is split.
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
			if lines := bytes.Count(text, []byte("\n")); lines > maxLines {
				t.Errorf("%s has %d lines, more than %d", file, lines, maxLines)
			}
		}
		if count == 0 || count > maxFiles {
			t.Errorf("%s has %d files, want 1 to %d", folder, count, maxFiles)
		}
	}
}

// TestEchoStaysInThreeFiles keeps the number of files that depend on echo small, so that echo can be upgraded or replaced.
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
