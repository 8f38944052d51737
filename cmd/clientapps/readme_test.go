package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store/storetest"
)

// block is a fenced block of the README that runs against the demo, with the answer that is shown below it, if any.
type block struct{ shell, answer string }

var fence = regexp.MustCompile("(?s)```(sh|json)\n(.*?)```")

func readmeBlocks(t *testing.T) []block {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	for _, found := range fence.FindAllStringSubmatch(string(text), -1) {
		if found[1] == "sh" {
			blocks = append(blocks, block{shell: found[2]})
		} else {
			blocks[len(blocks)-1].answer = found[2]
		}
	}
	return blocks
}

// lastUpdate is when the app itself was written; the catalog entry's time stands before it.
var lastUpdate = regexp.MustCompile(`"updated_at":"[^"]*"}\n$`)

// TestReadme pastes the README's lines, in their order, and compares what they print with what it shows.
func TestReadme(t *testing.T) {
	t.Parallel()
	demo := startServe(t, storetest.SQLite(t), "--demo")
	blocks := readmeBlocks(t)
	if len(blocks) < 3 {
		t.Fatalf("found %d blocks", len(blocks))
	}
	for _, b := range blocks {
		shell := strings.ReplaceAll(b.shell, "http://127.0.0.1:8080", demo.url)
		out, err := exec.CommandContext(t.Context(), "sh", "-euc", shell).Output()
		if err != nil {
			t.Errorf("%s: %v", b.shell, err)
		}
		got := lastUpdate.ReplaceAllString(string(out), "")
		if want := lastUpdate.ReplaceAllString(b.answer, ""); b.answer != "" && got != want {
			t.Errorf("%s printed\n%s\nand the README shows\n%s", b.shell, got, want)
		}
		if strings.Contains(string(out), `"error"`) != strings.Contains(b.answer, `"error"`) {
			t.Errorf("%s printed\n%s", b.shell, out)
		}
	}
}
