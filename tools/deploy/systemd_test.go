package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// exposure is the highest accepted exposure level from systemd-analyze security, in tenths: 100 means unprotected.
const exposure = "20"

func TestUnit(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("systemd/clientapps.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.Replace(string(text), "/usr/local/bin/clientapps", program, 1) // systemd checks that the file exists
	limits := regexp.MustCompile(`(?m)^Environment=GOMEMLIMIT=(\S+)\nMemoryMax=(\d+)M$`).FindSubmatch(text)
	if limits == nil {
		t.Fatal("the unit has no memory limit")
	}
	most, _ := strconv.ParseInt(string(limits[2]), 10, 64)
	wantMemory(t, "the unit", string(limits[1]), most<<20, true)
	path := filepath.Join(t.TempDir(), "clientapps.service")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", path}, {"security", "--offline=true", "--threshold=" + exposure, path}} {
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
		if err != nil || args[0] == "verify" && strings.Contains(string(out), path) {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}
