package dataset

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"golang.org/x/text/cases"
)

// Table has rows for a table. The values are nil, bool, int, string, ID and time.Time.
type Table struct {
	Name    string
	Columns []string
	Rows    iter.Seq[[]any]
}

var (
	start      = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	adjectives = strings.Fields("Able Azure Bold Brisk Calm Clear Coral Crisp Deep Eager Fair Fleet Grand Green Happy " +
		"Ivory Jolly Keen Light Lucid Mint Noble Öffentlich Prime Quick Quiet Rapid Royal Sharp Silver Smart Solid " +
		"Steady Sunny Swift True Urban Vivid Warm Zesty")
	nouns = strings.Fields("Anchor Atlas Beacon Board Bridge Canvas Chart Cloud Compass Desk Draft Echo Forge Garden " +
		"Harbor Index Journal Kiosk Ledger Lens Mail Meeting Notes Orbit Paper Planner Quill Radar Résumé Sheet " +
		"Signal Slate Studio Table Tracker Vault Voice Wave Works Zone")
	types = []any{"desktop", "web", "browser", "mobile", nil}
)

const (
	vendors    = 500
	categories = 40
)

// Tables returns the tables of the server's schema. A table comes before those that refer to it.
func (s Size) Tables() []Table {
	return []Table{
		{"clients", strings.Fields("id name name_key version created_at updated_at"), numbered(s.Clients, s.client)},
		{"catalog_vendors", strings.Fields("id name name_key url version created_at updated_at"), numbered(vendors, vendor)},
		{"catalog_categories", strings.Fields("id name name_key version created_at updated_at"), numbered(categories, category)},
		{"catalog_apps", strings.Fields("id canonical_name name_key description display_colour logo type vendor_id " +
			"version created_at updated_at"), numbered(s.Catalog, catalogApp)},
		{"catalog_app_categories", strings.Fields("catalog_app_id category_id"), s.appCategories},
		{"apps", strings.Fields("client_id id catalog_app_id name_key is_favorite is_approved license_count version " +
			"actor_id actor_name request_id created_at updated_at"), numbered(s.Apps, s.app)},
	}
}

func numbered(count int, row func(n int) []any) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for n := range count {
			if !yield(row(n)) {
				return
			}
		}
	}
}

func fold(name string) string { return cases.Fold().String(name) }

func (s Size) client(n int) []any {
	name := fmt.Sprintf("Client %05d", n)
	at := start.Add(time.Duration(n) * time.Minute)
	return []any{Parse(ClientID(n)), name, fold(name), 1, at, at}
}

func vendor(n int) []any {
	name := fmt.Sprintf("%s %s Ltd. %d", adjectives[n%len(adjectives)], nouns[n*7%len(nouns)], n)
	return []any{
		Parse(makeID(n, suffixVendor)), name, fold(name), fmt.Sprintf("https://vendor-%d.example.com", n), 1, start, start,
	}
}

func category(n int) []any {
	name := fmt.Sprintf("%s %d", nouns[n%len(nouns)], n)
	return []any{Parse(makeID(n, suffixCategory)), name, fold(name), 1, start, start}
}

func catalogName(n int) string {
	return fmt.Sprintf("%s %s %d", adjectives[n%len(adjectives)], nouns[n*11%len(nouns)], n)
}

// catalogApp leaves most fields of every tenth app empty, as in apps that clients have created.
func catalogApp(n int) []any {
	name, at := catalogName(n), start.Add(time.Duration(n)*time.Hour)
	row := []any{Parse(makeID(n, suffixCatalog)), name, fold(name), nil, nil, nil, nil, nil, 1, at, at.Add(time.Hour)}
	if n%10 != 9 {
		row[3] = fmt.Sprintf("%s helps teams to plan, share and finish their work in one place, whatever its size: edition %d", name, n)
		row[4] = fmt.Sprintf("#%06X", n*4099%0x1000000)
		row[5] = fmt.Sprintf("https://cdn.example.com/logos/%d.png", n)
		row[6] = types[n%len(types)]
		row[7] = Parse(makeID(n%vendors, suffixVendor))
	}
	return row
}

func (s Size) appCategories(yield func([]any) bool) {
	for n := range s.Catalog {
		for k := range n % 4 { // zero to three
			row := []any{Parse(makeID(n, suffixCatalog)), Parse(makeID((n+k*13)%categories, suffixCategory))}
			if !yield(row) {
				return
			}
		}
	}
}

// app scatters the apps of a client over the table, as if they were added over years.
func (s Size) app(n int) []any {
	client, entry := n%s.Ordinary(), n/s.Ordinary()
	if n >= s.Spread() {
		large := n - s.Spread()
		client, entry = s.Ordinary()+large%s.Large(), large/s.Large()
	}
	entry = (entry + client*17) % s.Catalog
	var licenses any
	if n%4 != 0 {
		licenses = n % 500
	}
	at := start.Add(time.Duration(n) * 37 * time.Second % (400 * 24 * time.Hour))
	return []any{
		Parse(ClientID(client)), Parse(AppID(n)), Parse(makeID(entry, suffixCatalog)), fold(catalogName(entry)),
		n%5 == 0, n%3 == 0, licenses, 1, Parse(UnknownID()), "benchmark data", "benchmark-data", at, at,
	}
}
