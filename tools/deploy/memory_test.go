package deploy

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	core "k8s.io/api/core/v1"
)

// memoryNeeded is the result of the formula in docs/limits.md for the defaults and 10,000 catalog entries, in bytes.
const memoryNeeded = (64+64+128)<<20 + 10_000*3<<10

// wantMemory checks that GOMEMLIMIT is at most four fifths of the limit at which the process is killed, since Go does not count all
// memory. For a server it also checks that GOMEMLIMIT is at least a third above memoryNeeded, for garbage.
func wantMemory(t *testing.T, what, goMemLimit string, killedAt int64, server bool) {
	t.Helper()
	found := regexp.MustCompile(`^(\d+)MiB$`).FindStringSubmatch(goMemLimit)
	if found == nil {
		t.Errorf("GOMEMLIMIT of %s is %q", what, goMemLimit)
		return
	}
	limit, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if limit <<= 20; limit > killedAt*4/5 {
		t.Errorf("GOMEMLIMIT of %s is %d, but it is killed at %d", what, limit, killedAt)
	}
	if server && limit < memoryNeeded*4/3 {
		t.Errorf("GOMEMLIMIT of %s is %d, but it needs %d", what, limit, memoryNeeded)
	}
}

// goMemLimit returns GOMEMLIMIT of a container, or "".
func goMemLimit(env []core.EnvVar) string {
	for _, v := range env {
		if v.Name == "GOMEMLIMIT" {
			return v.Value
		}
	}
	return ""
}

// The limits are checked against the documented formula.
func TestMemoryFormula(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	formula := regexp.MustCompile(`64 MiB \+ --max-in-flight × 64 KiB \+ --body-memory \+ 3 KiB × entries of the catalog\n\n` +
		`which is 64 \+ 64 \+ 128 \+ 30 = 286 MiB with the defaults and 10,000 entries`)
	if !formula.Match(text) {
		t.Error("docs/limits.md has another formula")
	}
}
