package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store/storetest"
)

// TestClientsPage runs those programs of docs/clients.md that need nothing but curl, the command itself and Python, each on a demo server of
// its own, and compares what they print with the page. The packages client and sdk/typescript run theirs.
func TestClientsPage(t *testing.T) {
	t.Parallel()
	bin := onPath(t)
	blocks, run := blocksOf(t, "docs/clients.md"), 0
	for i, b := range blocks {
		var command []string
		switch b.language {
		case "sh":
			command = []string{"sh", "-euc"}
		case "python":
			command = []string{"python3", "-c"}
		default:
			continue
		}
		run++
		t.Run(b.language, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skipf("NOT TESTED: the program in %s: %v", b.language, err)
			}
			demo := startServe(t, storetest.SQLite(t), "--demo")
			program := strings.ReplaceAll(b.text, "http://127.0.0.1:8080", demo.URL)
			c := exec.CommandContext(t.Context(), command[0], append(command[1:], program)...)
			c.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), asCommand + "=1"}
			out, err := c.CombinedOutput()
			if err != nil || blocks[i+1].language != "text" || string(out) != blocks[i+1].text {
				t.Errorf("%v: printed\n%s\nbut the page shows\n%s", err, out, blocks[i+1].text)
			}
		})
	}
	if run != 3 {
		t.Errorf("%d programs", run)
	}
}
