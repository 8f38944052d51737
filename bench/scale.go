package main

import (
	"context"

	"github.com/clientapps/clientapps/bench/dataset"
	"github.com/clientapps/clientapps/bench/load"
)

// startScale creates two databases of different sizes in one PostgreSQL, each with a server of ours.
func (h *harness) startScale(ctx context.Context) error {
	for _, side := range []struct {
		name, database string
		size           dataset.Size
	}{
		{"ours-large", "large", h.size}, {"ours-small", "small", defaultSize},
	} {
		url, token, err := h.database(ctx, side.database, side.size, "ours")
		if err != nil {
			return err
		}
		c := &contender{
			name: side.name, token: token, api: load.Contract{}, size: side.size, databases: []int{h.postgres.PID()},
			history: postgresHistory(url),
		}
		if err := h.serveOurs(ctx, c, "ours", url); err != nil {
			return err
		}
	}
	return nil
}
