package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityNamesTests checks SECURITY.md: it has all ten points, each names tests, and the tests exist.
func TestSecurityNamesTests(t *testing.T) {
	t.Parallel()
	text := []byte(read(t, "SECURITY.md"))
	exists := allTests(t)
	points := regexp.MustCompile(`(?m)^### API(\d+) `).FindAllSubmatchIndex(text, -1)
	if len(points) != 10 {
		t.Fatalf("%d points", len(points))
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z][0-9A-Za-z]*)`")
	for i, point := range points {
		end := len(text)
		if i+1 < len(points) {
			end = points[i+1][0]
		}
		if len(named.FindAll(text[point[1]:end], -1)) == 0 {
			t.Errorf("API%s names no test", text[point[2]:point[3]])
		}
	}
	for _, name := range named.FindAllSubmatch(text, -1) {
		if !exists[string(name[1])] {
			t.Errorf("there is no %s", name[1])
		}
	}
}

// allTests returns the names of all tests in the repository.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(\w+ \*testing\.`)
	names := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, found := range declared.FindAllSubmatch(source, -1) {
			names[string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
