package main

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/clientapps/clientapps/bench/load"
)

func (l *harness) startOnSQLite(ctx context.Context, name string) error {
	path := l.path(name + ".db")
	address := "sqlite://" + path
	token, err := l.prepare(ctx, address, func() error { return l.size.LoadSQLite(ctx, path) }, l.size, "ours")
	if err != nil {
		return err
	}
	c := &contender{name: name, token: token, api: load.Contract{}, size: l.size, history: sqliteHistory(path)}
	binary := name
	if name == "ours-sqlite" {
		binary = "ours"
	}
	return l.serveOurs(ctx, c, binary, address)
}

func (l *harness) startPocketBase(ctx context.Context, name string) error {
	if _, err := os.Stat(l.path("pocketbase")); err != nil {
		if err := l.build(ctx, ".", "./pocketbase", "pocketbase"); err != nil {
			return err
		}
	}
	synchronous := "FULL"
	if name == "pocketbase-normal" {
		synchronous = "NORMAL"
	}
	dir := l.path(name + ".data")
	program := []string{l.path("pocketbase"), "--dir", dir, "--synchronous", synchronous}
	out, err := exec.CommandContext(ctx, program[0], append(program[1:], "setup")...).Output() //nolint:gosec // built by us
	if err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	data := filepath.Join(dir, "data.db")
	if err := l.size.LoadPocketBase(ctx, data); err != nil {
		return err
	}
	c := &contender{
		name: name, token: strings.TrimSpace(string(out)), api: pocketBase{}, size: l.size, history: sqliteHistory(data),
	}
	return l.serve(ctx, c, "/api/health", append(program, "serve", "--http", addrOf)...)
}

// pocketBase is PocketBase's API. It expands the catalog entry of an app, as the contract's answers do.
type pocketBase struct{}

const (
	pocketRecords = "/api/collections/apps/records"
	pocketExpand  = "expand=catalog_app_id.vendor_id,catalog_app_id.categories"
)

// App implements load.API.
func (pocketBase) App(string) string { return pocketRecords + "/{app}?" + pocketExpand }

// List implements load.API.
func (pocketBase) List(string) string {
	return pocketRecords + "?perPage=50&sort=name_key,id&" + pocketExpand +
		"&filter=" + strings.ReplaceAll(url.QueryEscape("client_id='{client}'"), "%7Bclient%7D", "{client}")
}

// Bulk implements load.API. PocketBase has no such operation, and no load uses it.
func (pocketBase) Bulk(bool) string { return "" }
