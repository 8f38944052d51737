package load

import (
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/clientapps/clientapps/bench/dataset"
)

//go:embed wrk.lua
var wrkScript string

// Wrk sends the next request on each connection as soon as the answer has arrived. The seed selects the requests.
func (p Plan) Wrk(ctx context.Context, dir string, connections int, slice time.Duration, seed int) (Result, error) {
	file, err := os.CreateTemp(dir, "plan*.lua")
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	if _, err := file.WriteString(p.lua() + wrkScript); err != nil {
		return Result{}, err
	}
	if err := file.Close(); err != nil {
		return Result{}, err
	}
	out, err := exec.CommandContext(ctx, "wrk", "--threads=1", "--connections="+strconv.Itoa(connections), //nolint:gosec // ours
		"--duration="+seconds(slice), "--timeout=10s", "--script="+file.Name(), p.Base, "--", strconv.Itoa(seed)).CombinedOutput()
	if err != nil {
		return Result{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return parseWrk(string(out))
}

// seconds formats a duration for wrk and pgbench.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(int(d.Round(time.Second)/time.Second), 1))
}

// parseWrk parses the last line of the script's output.
func parseWrk(out string) (Result, error) {
	var requests, took, p50, p99, status, connect, read, write, timeout int
	_, line, found := strings.Cut(out, "\nbench ")
	if !found {
		return Result{}, fmt.Errorf("wrk printed no result: %s", out)
	}
	if _, err := fmt.Sscan(line, &requests, &took, &p50, &p99, &status, &connect, &read, &write, &timeout); err != nil {
		return Result{}, fmt.Errorf("wrk's result: %w: %s", err, line)
	}
	if bad := status + connect + read + write + timeout; bad > 0 || requests == 0 {
		return Result{}, failedRequests("wrk", bad, strings.TrimSpace(out))
	}
	us := func(n int) time.Duration { return time.Duration(n) * time.Microsecond }
	return Result{Requests: requests, Took: us(took), P50: us(p50), P99: us(p99)}, nil
}

// variable matches the variables of a form. wrk.lua identifies them by number.
var variable = regexp.MustCompile(`\{(client|app|count|ids|updates)\}`)

var variableNumber = map[string]int{"{client}": 1, "{app}": 2, "{count}": 3, "{ids}": 4, "{updates}": 5}

// lua returns the plan as Lua code for wrk.lua.
func (p Plan) lua() string {
	var out strings.Builder
	fmt.Fprintf(&out, "scatter, ordinary = %d, %d\n", dataset.Scatter, p.Size.Ordinary())
	fmt.Fprintf(&out, "client_suffix, app_suffix = %q, %q\n", dataset.SuffixClient, dataset.SuffixApp)
	out.WriteString("wheel, forms = {}, {}\n")
	for i, f := range p.Forms {
		fmt.Fprintf(&out, "for _ = 1, %d do wheel[#wheel + 1] = %d end\n", f.Weight, i+1)
		raw := p.raw(f)
		fmt.Fprintf(&out, "forms[%d] = {apps = %d, pieces = {", i+1, p.apps(f))
		for {
			at := variable.FindStringIndex(raw)
			if at == nil {
				break
			}
			fmt.Fprintf(&out, "%s, %d, ", luaString(raw[:at[0]]), variableNumber[raw[at[0]:at[1]]])
			raw = raw[at[1]:]
		}
		fmt.Fprintf(&out, "%s}}\n", luaString(raw))
	}
	return out.String()
}

// raw returns the raw HTTP request of a form. Values of a variable have equal lengths, so the length of the body is known.
func (p Plan) raw(f Form) string {
	base, _ := url.Parse(p.Base) // always valid
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", f.Method, f.Path, base.Host, p.Token)
	if f.ETag != "" {
		head += "If-None-Match: " + f.ETag + "\r\n"
	}
	if f.Body != "" {
		head += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(p.fill(f.Body, 0)))
	}
	return head + "\r\n" + f.Body
}

func luaString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", `\r`, "\n", `\n`).Replace(s) + `"`
}
