package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/store/storetest"
)

// TestReceivers runs the programs of docs/webhooks.md, and the commands around them: each receives what the demo delivers, and refuses
// what it has not signed.
func TestReceivers(t *testing.T) {
	t.Parallel()
	for language, start := range map[string]func(t *testing.T, program string) *exec.Cmd{"js": nodeReceiver, "go": goReceiver} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			blocks := blocksOf(t, "docs/webhooks.md")
			i := slices.IndexFunc(blocks, func(b block) bool { return b.language == language })
			if i < 0 {
				t.Fatal("the page has no such program")
			}
			program := blocks[i].text
			_, function, _ := strings.Cut(program, "\nfunc main")
			if lines := strings.Count(program, "\n"); language == "js" && lines > 15 || strings.Count(function, "\n") > 15 {
				t.Errorf("the program has %d lines", lines)
			}
			address := freeAddress(t)
			_, port, _ := net.SplitHostPort(address)
			here := strings.NewReplacer("127.0.0.1:9090", address, "9090", port)
			testReceiver(t, blocks, here, address, start(t, here.Replace(program)))
		})
	}
}

func testReceiver(t *testing.T, blocks []block, here *strings.Replacer, address string, receiver *exec.Cmd) {
	t.Helper()
	demo := startServe(t, storetest.SQLite(t), "--demo")
	variables := []string{"API=" + demo.URL + "/v2", "AUTH=Authorization: Bearer demo-token"}
	var printed *output
	done := map[string]int{} // commands by what they do
	for _, b := range blocks {
		if b.language != "sh" {
			continue
		}
		run := exec.CommandContext(t.Context(), "sh", "-euc", here.Replace(strings.ReplaceAll(b.text, "http://127.0.0.1:8080", demo.URL)))
		run.Env = append(os.Environ(), variables...)
		run.Stderr = &output{}
		out, err := run.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s%s", b.text, err, out, run.Stderr)
		}
		switch {
		case printed == nil: // the first one makes the webhook
			var made struct{ ID, Secret string }
			if err := json.Unmarshal(out, &made); err != nil || made.ID == "" {
				t.Fatalf("%v: %s", err, out)
			}
			variables = append(variables, "ID="+made.ID)
			receiver.Env = append(os.Environ(), "WEBHOOK_SECRET="+made.Secret)
			printed = runUntilEnd(t, receiver)
			eventually(t, func() bool {
				connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
				if err == nil {
					_ = connection.Close()
				}
				return err == nil
			})
			forge(t, address)
			if printed.String() != "" {
				t.Errorf("printed what was forged: %s", printed)
			}
		case strings.Contains(b.text, "is_approved"):
			done["approve"]++
			eventually(t, func() bool { return strings.Contains(printed.String(), "\n") })
			wantApproval(t, printed.String())
		case strings.Contains(b.text, "/test"):
			done["test"]++
			var result struct {
				Status int
				Error  *string
			}
			if err := json.Unmarshal(out, &result); err != nil || result.Status/100 != 2 || result.Error != nil {
				t.Errorf("the test: %v, %s", err, out)
			}
		case strings.Contains(b.text, "/deliveries"):
			done["list"]++
			var list struct{ Data []struct{ Type string } }
			if err := json.Unmarshal(out, &list); err != nil || len(list.Data) == 0 || list.Data[0].Type != "ping" {
				t.Errorf("the deliveries: %v, %s", err, out)
			}
		case strings.Contains(b.text, "DELETE"):
			done["delete"]++
		}
	}
	for _, what := range []string{"approve", "test", "list", "delete"} {
		if done[what] != 1 {
			t.Errorf("%d commands %s", done[what], what)
		}
	}
}

// wantApproval checks that all lines are the change of the demo's app. It may have come twice.
func wantApproval(t *testing.T, printed string) {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSuffix(printed, "\n"), "\n") {
		var change struct {
			AppID    string `json:"app_id"`
			Field    string `json:"field"`
			NewValue any    `json:"new_value"`
		}
		if err := json.Unmarshal([]byte(line), &change); err != nil || change.Field != "is_approved" || change.NewValue != true ||
			!strings.HasSuffix(pageApp, "/"+change.AppID) {
			t.Errorf("%v: %s", err, line)
		}
	}
}

// forge delivers what nobody has signed, or somebody else: the receiver must answer 401.
func forge(t *testing.T, address string) {
	t.Helper()
	const id = "6f1d2c3b-4a59-4687-9e0f-1a2b3c4d5e6f"
	body := `{"type":"app.changed","timestamp":"2026-02-24T15:00:00.412Z","data":{"client_id":"` + id + `","changes":[{"field":"app"}]}}`
	at := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, []byte("a key that is not the webhook's."))
	mac.Write([]byte(id + "." + at + "." + body))
	for _, signature := range []string{"", "v1,", "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Webhook-Id", id)
		request.Header.Set("Webhook-Timestamp", at)
		request.Header.Set("Webhook-Signature", signature)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("signed with %q: %d", signature, response.StatusCode)
		}
	}
}

func goReceiver(t *testing.T, program string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	source, built := filepath.Join(dir, "main.go"), filepath.Join(dir, "receiver")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", built, source)
	build.Dir = filepath.Join(root, "client") // the module that it imports
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return exec.CommandContext(t.Context(), built)
}

// nodeReceiver compiles the TypeScript client to where the program finds it.
func nodeReceiver(t *testing.T, program string) *exec.Cmd {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no Node.js")
	}
	sdk, err := filepath.Abs(filepath.Join(root, "sdk", "typescript"))
	if err != nil {
		t.Fatal(err)
	}
	tsc := filepath.Join(sdk, "node_modules", "typescript", "bin", "tsc")
	if _, err := os.Stat(tsc); err != nil {
		t.Skip("the packages of sdk/typescript are not installed: make check-generate does that")
	}
	dir := t.TempDir()
	installed := filepath.Join(dir, "node_modules", "@clientapps", "client")
	compile := exec.CommandContext(t.Context(), node, tsc, "--project", sdk, "--outDir", filepath.Join(installed, "dist"))
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, text := range map[string]string{
		filepath.Join(installed, "package.json"): read(t, "sdk/typescript/package.json"), filepath.Join(dir, "receiver.mjs"): program,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const dependency = "openapi-fetch"
	if err := os.Symlink(filepath.Join(sdk, "node_modules", dependency), filepath.Join(dir, "node_modules", dependency)); err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), node, filepath.Join(dir, "receiver.mjs"))
}
