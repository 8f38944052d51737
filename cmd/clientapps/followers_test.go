package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestFollowers runs the programs of docs/changes.md: each keeps a copy of all apps while they change.
func TestFollowers(t *testing.T) {
	t.Parallel()
	for language, maxLines := range map[string]int{"js": 40, "go": 62} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			blocks := blocksOf(t, "docs/changes.md")
			i := slices.IndexFunc(blocks, func(b block) bool { return b.language == language })
			if i < 0 || strings.Count(blocks[i].text, "\n") > maxLines {
				t.Fatalf("the page has no program of at most %d lines", maxLines)
			}
			demo := startServe(t, storetest.SQLite(t), "--demo").as(demoToken)
			testFollower(t, demo, language, strings.ReplaceAll(blocks[i].text, "http://127.0.0.1:8080", demo.URL))
		})
	}
}

func testFollower(t *testing.T, demo *servertest.Client, language, program string) {
	t.Helper()
	printed := follower(t, language, program)
	eventually(t, func() bool { return strings.Contains(printed.String(), "\n") })
	if got, want := lastCopy(t, printed), copyOf(t, demo); !reflect.DeepEqual(got, want) {
		t.Errorf("began with %v, want %v", got, want)
	}
	organization := uuid.NewString()
	send := func(method, path, body string) (id string) {
		answer := demo.Send(t, servertest.Request{Method: method, Target: path, Body: body})
		if answer.Status < 200 || answer.Status > 299 {
			t.Fatalf("%s %s: %d %s", method, path, answer.Status, answer.Body)
		}
		var object struct{ ID string }
		_ = json.Unmarshal([]byte(answer.Body), &object) // some have no body
		return object.ID
	}
	send("PATCH", pageApp, `{"is_favorite":true,"license_count":null}`)
	send("PATCH", pageApp, `{"license_count":7}`)
	send("POST", "/v2/clients", `{"id":"`+organization+`","name":"Followed"}`)
	apps := "/v2/clients/" + organization + "/apps"
	for range 2 {
		entry := send("POST", "/v2/catalog-apps", `{"canonical_name":"`+uuid.NewString()+`"}`)
		app := send("POST", apps, `{"catalog_app_id":"`+entry+`","is_approved":true}`)
		send("PATCH", apps+"/"+app, `{"license_count":3}`)
	}
	send("DELETE", pageApp, "")
	follows := func() bool { return reflect.DeepEqual(lastCopy(t, printed), copyOf(t, demo)) }
	eventually(t, follows)
	send("PATCH", "/v2/clients/"+organization, `{"status":"suspended"}`)
	send("DELETE", "/v2/clients/"+organization, "")
	eventually(t, follows)
	if len(copyOf(t, demo)) == 0 {
		t.Error("there was nothing to copy")
	}
}

// follower runs a program until the test ends, and returns what it prints.
func follower(t *testing.T, language, program string) *output {
	t.Helper()
	dir := t.TempDir()
	name, arguments := filepath.Join(dir, "follower"), []string(nil)
	if language == "js" {
		node, err := exec.LookPath("node")
		if err != nil {
			t.Skip("there is no Node.js")
		}
		name, arguments = node, []string{filepath.Join(dir, "follower.mjs")}
		if err := os.WriteFile(arguments[0], []byte(program), 0o600); err != nil {
			t.Fatal(err)
		}
	} else {
		source := filepath.Join(dir, "main.go")
		if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
			t.Fatal(err)
		}
		build := exec.CommandContext(t.Context(), "go", "build", "-o", name, source)
		build.Dir = filepath.Join(root, "client") // the module that it imports
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return runUntilEnd(t, exec.CommandContext(t.Context(), name, arguments...))
}

// runUntilEnd runs a program until the test ends, and returns what it prints.
func runUntilEnd(t *testing.T, run *exec.Cmd) *output {
	t.Helper()
	stdout, stderr := &output{}, &output{}
	run.Stdout, run.Stderr = stdout, stderr
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Kill()
		_ = run.Wait()
		if stderr.String() != "" {
			t.Errorf("the program failed: %s", stderr)
		}
	})
	return stdout
}

// copiedApp is what both programs keep of an app.
type copiedApp struct {
	IsFavorite   bool `json:"is_favorite"`
	IsApproved   bool `json:"is_approved"`
	LicenseCount *int `json:"license_count"`
}

// lastCopy returns the apps of the last whole line, by client and id, without clients that have none.
func lastCopy(t *testing.T, printed *output) map[string]map[string]copiedApp {
	t.Helper()
	text := []byte(printed.String())
	text = text[:bytes.LastIndexByte(text, '\n')]
	var apps map[string]map[string]copiedApp
	if err := json.Unmarshal(text[bytes.LastIndexByte(text, '\n')+1:], &apps); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for id := range apps {
		if len(apps[id]) == 0 {
			delete(apps, id)
		}
	}
	return apps
}

// copyOf lists the same from the server.
func copyOf(t *testing.T, demo *servertest.Client) map[string]map[string]copiedApp {
	t.Helper()
	list := func(path string, into any) {
		if err := json.Unmarshal([]byte(demo.Get(t, path+"?page_size=500").Body), into); err != nil {
			t.Fatal(err)
		}
	}
	var clients struct{ Data []struct{ ID string } }
	list("/v2/clients", &clients)
	all := map[string]map[string]copiedApp{}
	for _, c := range clients.Data {
		var apps struct {
			Data []struct {
				copiedApp

				ID string `json:"id"`
			}
		}
		list("/v2/clients/"+c.ID+"/apps", &apps)
		for _, app := range apps.Data {
			if all[c.ID] == nil {
				all[c.ID] = map[string]copiedApp{}
			}
			all[c.ID][app.ID] = app.copiedApp
		}
	}
	return all
}
