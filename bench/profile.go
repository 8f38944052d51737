package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/google/pprof/profile"

	"github.com/clientapps/clientapps/bench/load"
	"github.com/clientapps/clientapps/bench/machine"
	"github.com/clientapps/clientapps/bench/overlay"
)

// profileAddr is the environment variable with the address of the profile listener.
const profileAddr = "BENCH_PROFILE_ADDR"

// profiled adds a listener for profiles, which the product does not have.
func profiled(_ context.Context, _ *harness, o *overlay.Overlay) error {
	o.Add("cmd/clientapps/bench_profile.go", `package main

import (
	"net/http"
	_ "net/http/pprof"
	"os"
)

func init() {
	if addr := os.Getenv("`+profileAddr+`"); addr != "" {
		go func() { _ = http.ListenAndServe(addr, nil) }()
	}
}
`)
	return nil
}

// profiledLoads are the usual loads of a profile. mixed has patches and pages too.
var profiledLoads = []string{"patch", "get", "mixed", "bulk"}

// writeProfile records a CPU profile of our server on PostgreSQL under several loads, in turn. The compiler uses it in later builds.
func (l *harness) writeProfile(ctx context.Context) error {
	c, addr, err := l.startProfiled(ctx)
	if err != nil {
		return err
	}
	names := profiledLoads
	if len(l.workloads) > 0 {
		names = l.workloads
	}
	loads := slices.DeleteFunc(workloads(), func(k workload) bool {
		return !slices.Contains(names, k.name) || !slices.Contains(k.contenders, "ours")
	})
	if len(loads) == 0 {
		return errors.New("-profile: none of these loads is for ours")
	}
	took := time.Duration(l.slices*len(loads)) * l.slice
	slog.Info("profiling", "for", took)
	type outcome struct {
		profile *profile.Profile
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		p, err := readProfile(ctx, addr, took)
		done <- outcome{p, err}
	}()
	for range l.slices {
		for _, k := range loads {
			if _, err := k.run(ctx, l, c, l.seed()); err != nil {
				return err
			}
		}
	}
	got := <-done
	if got.err != nil {
		return got.err
	}
	var out bytes.Buffer
	if err := lean(got.profile).Write(&out); err != nil {
		return err
	}
	slog.Info("writing", "profile", l.profile, "samples", len(got.profile.Sample), "bytes", out.Len())
	return os.WriteFile(l.profile, out.Bytes(), 0o644) //nolint:gosec // a public file
}

func (l *harness) startProfiled(ctx context.Context) (c *contender, addr string, err error) {
	// Without the old profile, so that the new one does not depend on it.
	if err := l.buildVariant(ctx, variant{name: "ours", flags: []string{"-pgo=off"}, change: profiled}); err != nil {
		return nil, "", err
	}
	if err := l.startPostgres(ctx); err != nil {
		return nil, "", err
	}
	url, token, err := l.database(ctx, "bench", l.size, "ours")
	if err != nil {
		return nil, "", err
	}
	if addr, err = machine.FreeAddr(); err != nil {
		return nil, "", err
	}
	if err := os.Setenv(profileAddr, addr); err != nil {
		return nil, "", err
	}
	c = &contender{name: "ours", token: token, api: load.Contract{}, size: l.size, databases: []int{l.postgres.PID()}}
	return c, addr, l.serveOurs(ctx, c, "ours", url)
}

func readProfile(ctx context.Context, addr string, took time.Duration) (*profile.Profile, error) {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", addr, int(took.Seconds()))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil) //nolint:gosec // to ourselves
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r) //nolint:gosec // to ourselves
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("profile: %s", answer.Status)
	}
	return profile.Parse(answer.Body)
}

// lean removes what the compiler does not use, and what describes the machine: addresses, mappings, labels.
func lean(p *profile.Profile) *profile.Profile {
	p.Mapping, p.Comments, p.DocURL, p.TimeNanos = nil, nil, "", 0
	for _, sample := range p.Sample {
		sample.Label, sample.NumLabel, sample.NumUnit = nil, nil, nil
	}
	for _, location := range p.Location {
		location.Mapping, location.Address = nil, 0
	}
	return p.Compact()
}
