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

// addProfileListener adds a listener for profiles, which the product does not have.
func addProfileListener(_ context.Context, _ *harness, o *overlay.Overlay) error {
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
func (h *harness) writeProfile(ctx context.Context) error {
	c, addr, err := h.startProfiled(ctx)
	if err != nil {
		return err
	}
	names := profiledLoads
	if len(h.workloads) > 0 {
		names = h.workloads
	}
	loads := slices.DeleteFunc(workloads(), func(w workload) bool {
		return !slices.Contains(names, w.name) || !slices.Contains(w.contenders, "ours")
	})
	if len(loads) == 0 {
		return errors.New("-profile: none of these loads is for ours")
	}
	took := time.Duration(h.slices*len(loads)) * h.slice
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
	for range h.slices {
		for _, w := range loads {
			if _, err := w.run(ctx, h, c, h.nextSeed()); err != nil {
				return err
			}
		}
	}
	got := <-done
	if got.err != nil {
		return got.err
	}
	var out bytes.Buffer
	if err := stripProfile(got.profile).Write(&out); err != nil {
		return err
	}
	slog.Info("writing", "profile", h.profile, "samples", len(got.profile.Sample), "bytes", out.Len())
	return os.WriteFile(h.profile, out.Bytes(), 0o644) //nolint:gosec // a public file
}

func (h *harness) startProfiled(ctx context.Context) (c *contender, addr string, err error) {
	// Without the old profile, so that the new one does not depend on it.
	if err := h.buildVariant(ctx, variant{name: "ours", flags: []string{"-pgo=off"}, change: addProfileListener}); err != nil {
		return nil, "", err
	}
	if err := h.startPostgres(ctx); err != nil {
		return nil, "", err
	}
	url, token, err := h.database(ctx, "bench", h.size, "ours")
	if err != nil {
		return nil, "", err
	}
	if addr, err = machine.FreeAddr(); err != nil {
		return nil, "", err
	}
	if err := os.Setenv(profileAddr, addr); err != nil {
		return nil, "", err
	}
	c = &contender{name: "ours", token: token, api: load.Contract{}, size: h.size, databases: []int{h.postgres.PID()}}
	return c, addr, h.serveOurs(ctx, c, "ours", url)
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

// stripProfile removes what the compiler does not use, and what describes the machine: addresses, mappings, labels.
func stripProfile(p *profile.Profile) *profile.Profile {
	p.Mapping, p.Comments, p.DocURL, p.TimeNanos = nil, nil, "", 0
	for _, sample := range p.Sample {
		sample.Label, sample.NumLabel, sample.NumUnit = nil, nil, nil
	}
	for _, location := range p.Location {
		location.Mapping, location.Address = nil, 0
	}
	return p.Compact()
}
