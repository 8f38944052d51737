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

func (h *harness) startOnSQLite(ctx context.Context, name string) error {
	path := h.path(name + ".db")
	address := "sqlite://" + path
	token, err := h.prepare(ctx, address, func() error { return h.size.LoadSQLite(ctx, path) }, h.size, "ours")
	if err != nil {
		return err
	}
	c := &contender{name: name, token: token, api: load.Contract{}, size: h.size, history: sqliteHistory(path)}
	binary := name
	if name == "ours-sqlite" {
		binary = "ours"
	}
	return h.serveOurs(ctx, c, binary, address)
}

func (h *harness) startPocketBase(ctx context.Context, name string) error {
	if _, err := os.Stat(h.path("pocketbase")); err != nil {
		if err := h.build(ctx, ".", "./pocketbase", "pocketbase"); err != nil {
			return err
		}
	}
	synchronous := "FULL"
	if name == "pocketbase-normal" {
		synchronous = "NORMAL"
	}
	dir := h.path(name + ".data")
	program := []string{h.path("pocketbase"), "--dir", dir, "--synchronous", synchronous}
	out, err := exec.CommandContext(ctx, program[0], append(program[1:], "setup")...).Output() //nolint:gosec // built by us
	if err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	data := filepath.Join(dir, "data.db")
	if err := h.size.LoadPocketBase(ctx, data); err != nil {
		return err
	}
	c := &contender{
		name: name, token: strings.TrimSpace(string(out)), api: pocketBase{}, size: h.size, history: sqliteHistory(data),
	}
	return h.serve(ctx, c, "/api/health", append(program, "serve", "--http", addrPlaceholder)...)
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
