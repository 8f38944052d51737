package main

import (
	"context"

	"github.com/clientapps/clientapps/bench/dataset"
	"github.com/clientapps/clientapps/bench/load"
)

// startScale creates two databases of different sizes in one PostgreSQL, each with a server of ours.
func (l *harness) startScale(ctx context.Context) error {
	for _, side := range []struct {
		name, database string
		size           dataset.Size
	}{
		{"ours-large", "large", l.size}, {"ours-small", "small", usual},
	} {
		url, token, err := l.database(ctx, side.database, side.size, "ours")
		if err != nil {
			return err
		}
		c := &contender{
			name: side.name, token: token, api: load.Contract{}, size: side.size, databases: []int{l.postgres.PID()},
			history: postgresHistory(url),
		}
		if err := l.serveOurs(ctx, c, "ours", url); err != nil {
			return err
		}
	}
	return nil
}
