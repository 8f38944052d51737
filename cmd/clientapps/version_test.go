package main

import (
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store/storetest"
)

// A build without linker flags prints the version from its build info. deploy/ tests make build.
func TestVersion(t *testing.T) {
	t.Parallel()
	o := command(t, nil, "version")
	want := regexp.MustCompile(`^clientapps \S+\ncommit \S+\n` + regexp.QuoteMeta(runtime.Version()) + `\S*\n$`)
	if o.code != 0 || o.stderr != "" || !want.MatchString(o.stdout) {
		t.Errorf("%+v", o)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	running := startServe(t, storetest.SQLite(t))
	addr := strings.TrimPrefix(running.URL, "http://")
	if o := command(t, nil, "health", "--addr", addr); o != (outcome{stdout: "ok\n"}) {
		t.Errorf("%+v", o)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	if o := command(t, []string{"CLIENTAPPS_ADDR=0.0.0.0:" + port}, "health"); o != (outcome{stdout: "ok\n"}) {
		t.Errorf("with the address 0.0.0.0: %+v", o)
	}
	running.stop()
	if o := command(t, nil, "health", "--addr", addr); o.code != 1 || o.stdout != "" {
		t.Errorf("after the server ended: %+v", o)
	}
}

// A server that answers another status than 200 is not healthy.
func TestHealthOfAnother(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	other := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: healthTimeout}
	go func() { _ = other.Serve(listener) }()
	t.Cleanup(func() { _ = other.Close() })
	o := command(t, nil, "health", "--addr", listener.Addr().String())
	if o.code != 1 || o.stderr != "clientapps: the server answers 404 Not Found\n" {
		t.Errorf("%+v", o)
	}
}
