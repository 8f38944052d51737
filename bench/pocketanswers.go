package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/clientapps/clientapps/bench/dataset"
)

// pocketAnswers sends PocketBase the same requests in its own API, and converts its answers to the contract's format. A request that
// PocketBase does not support has status 0.
func (c *contender) pocketAnswers(ctx context.Context) ([]response, error) {
	const client = 1
	app := strings.Replace(c.api.App(""), "{app}", dataset.AppID(client), 1)
	unknown := strings.Replace(c.api.App(""), "{app}", dataset.UnknownID(), 1)
	if _, err := c.send(ctx, "PATCH", app, `{"is_favorite":false,"is_approved":false,"license_count":null}`); err != nil {
		return nil, err
	}
	var all []response
	for _, step := range []struct {
		what, method, path, body string
		history                  int
	}{
		{"set two fields", "PATCH", app, `{"is_favorite":true,"license_count":50}`, 2},
		{"read it", "GET", app, "", 0},
		{"set them again", "PATCH", app, `{"license_count":50,"is_favorite":true}`, 0},
		{"set nothing", "PATCH", app, `{}`, 0},
		{"clear one", "PATCH", app, `{"license_count":null}`, 1},
		{"read it cleared", "GET", app, "", 0},
		{what: "wrong type"}, // PocketBase reads "yes" as true
		{"a fraction", "PATCH", app, `{"license_count":1.5}`, 0},
		{"out of range", "PATCH", app, `{"license_count":-1}`, 0},
		{what: "read-only field"}, // PocketBase ignores them
		{what: "unknown field"},
		{"patch of an unknown app", "PATCH", unknown, `{"is_favorite":true}`, 0},
		{"unknown app", "GET", unknown, "", 0},
		{what: "unknown client"},
		{"page of 50", "GET", strings.Replace(c.api.List(""), "{client}", dataset.ClientID(2), 1), "", 0},
		{what: "large client"},
		{what: "bulk"},
		{what: "no token"},
		{what: "page 200"},
	} {
		if step.method == "" {
			all = append(all, response{what: step.what})
			continue
		}
		before, err := c.history(ctx, dataset.ClientID(client))
		if err != nil {
			return nil, err
		}
		a, err := c.send(ctx, step.method, step.path, step.body)
		if err != nil {
			return nil, err
		}
		after, err := c.history(ctx, dataset.ClientID(client))
		if err != nil {
			return nil, err
		}
		if after-before != step.history {
			return nil, fmt.Errorf("%s: %d rows of history, want %d", step.what, after-before, step.history)
		}
		a.what = step.what
		if a.status != 200 {
			a.body = ""
		} else if a.body, err = toContract(a.body); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
		all = append(all, a)
	}
	return all, nil
}

// toContract converts PocketBase's answer, an app or a page of apps, to the contract's format.
func toContract(body string) (string, error) {
	var page struct {
		Items []pocketApp
		Total int `json:"totalItems"`
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		return "", err
	}
	if page.Items == nil {
		var one pocketApp
		err := json.Unmarshal([]byte(body), &one)
		out := one.contract()
		out["updated_at"] = "…"
		return encode(out), errors.Join(err)
	}
	data := []any{}
	for _, one := range page.Items {
		data = append(data, one.contract())
	}
	out := map[string]any{"data": data, "total_count": page.Total, "next_cursor": nil}
	if page.Total > len(page.Items) {
		out["next_cursor"] = "…"
	}
	return encode(out), nil
}

func encode(value any) string {
	var out bytes.Buffer
	_ = json.NewEncoder(&out).Encode(value) // never fails for these maps
	return out.String()
}

type pocketApp struct {
	ID       string
	Favorite bool   `json:"is_favorite"`
	Approved bool   `json:"is_approved"`
	Licenses int    `json:"license_count"`
	Created  string `json:"created_at"`
	Updated  string `json:"updated_at"`
	Expand   struct {
		App struct {
			ID          string
			Name        string `json:"canonical_name"`
			Description string
			Colour      string `json:"display_colour"`
			Logo, Type  string
			Created     string `json:"created_at"`
			Updated     string `json:"updated_at"`
			Expand      struct {
				Vendor     *struct{ ID, Name, URL string } `json:"vendor_id"`
				Categories []struct{ ID, Name string }
			}
		} `json:"catalog_app_id"`
	}
}

func (a pocketApp) contract() map[string]any {
	entry := a.Expand.App
	categories := []any{}
	for _, g := range entry.Expand.Categories {
		categories = append(categories, map[string]any{"id": g.ID, "name": g.Name})
	}
	var vendor any
	if v := entry.Expand.Vendor; v != nil {
		vendor = map[string]any{"id": v.ID, "name": v.Name, "url": v.URL}
	}
	var licenses any
	if a.Licenses != 0 { // PocketBase has no null
		licenses = a.Licenses
	}
	return map[string]any{
		"id": a.ID, "is_favorite": a.Favorite, "is_approved": a.Approved, "license_count": licenses,
		"created_at": contractTime(a.Created), "updated_at": contractTime(a.Updated),
		"catalog_app": map[string]any{
			"id": entry.ID, "canonical_name": entry.Name, "description": orNull(entry.Description),
			"display_colour": orNull(entry.Colour), "logo": orNull(entry.Logo), "type": orNull(entry.Type),
			"vendor": vendor, "categories": categories,
			"created_at": contractTime(entry.Created), "updated_at": contractTime(entry.Updated),
		},
	}
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func contractTime(text string) string { return strings.Replace(text, " ", "T", 1) }
