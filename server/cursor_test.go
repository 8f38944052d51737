package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// listOrder is one sort order of one list of the contract.
type listOrder struct {
	operation, target, sortBy string
	query                     url.Values // without the contract's defaults
}

// listOrders returns every operation of the contract that takes a cursor, in each of its sort orders.
func listOrders(t testing.TB) []listOrder {
	t.Helper()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	var all []listOrder
	for _, item := range doc.Paths.Map() {
		op := item.Get
		if op == nil || op.Parameters.GetByInAndName("query", "cursor") == nil || op.Parameters.GetByInAndName("query", "since") != nil {
			continue // change feeds have cursors of their own: TestForgedFeedCursors
		}
		target := requests[op.OperationID].target
		if target == "" {
			t.Fatalf("%s has no request", op.OperationID)
		}
		for _, by := range choices(op, "sort_by") {
			for _, direction := range choices(op, "sort_order") {
				o := listOrder{operation: op.OperationID, target: target, sortBy: by.value, query: url.Values{}}
				for name, c := range map[string]choice{"sort_by": by, "sort_order": direction} {
					if c.value != "" && !c.standard {
						o.query.Set(name, c.value)
					}
				}
				all = append(all, o)
			}
		}
	}
	slices.SortFunc(all, func(a, b listOrder) int { return strings.Compare(a.url("x"), b.url("x")) })
	return all
}

type choice struct {
	value    string
	standard bool
}

// choices returns the values of a parameter, or one empty value if the operation does not have it.
func choices(op *openapi3.Operation, name string) []choice {
	p := op.Parameters.GetByInAndName("query", name)
	if p == nil {
		return []choice{{}}
	}
	var all []choice
	for _, value := range p.Schema.Value.Enum {
		all = append(all, choice{value.(string), value == p.Schema.Value.Default})
	}
	return all
}

// cursor encodes a position as the server would. The encoding is not secret.
func (o listOrder) cursor(position string) string {
	scope := o.operation + "\n" + strings.ToLower(o.target) + "\n" + o.query.Encode()
	sum := sha256.Sum256([]byte(scope + "\x00" + position))
	return base64.RawURLEncoding.EncodeToString(append(sum[:8], position...))
}

func (o listOrder) url(cursor string) string {
	query := maps.Clone(o.query)
	query.Set("cursor", cursor)
	return o.target + "?" + query.Encode()
}

// validSortKey and validTieBreaker are the parts of a position that a row could have.
func (o listOrder) validSortKey() string {
	switch {
	case o.operation == "listAppChanges":
		return "1"
	case strings.HasSuffix(o.sortBy, "_at"), o.operation == "listWebhookDeliveries":
		return strconv.FormatInt(storetest.Now.UnixMilli(), 10)
	}
	return "a"
}

func (o listOrder) validTieBreaker() string {
	if o.operation == "listAppChanges" {
		return "is_favorite"
	}
	return nilID
}

// forgedSortKeys and forgedTieBreakers are parts of a position that no row can have.
func (o listOrder) forgedSortKeys() []string {
	texts := []string{"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80", strings.Repeat("a", 9000) + "\xff"}
	if o.validSortKey() == "a" {
		return texts
	}
	numbers := slices.Concat(texts, []string{
		"", "a", "-", "+1", "01", "-0", " 1", "1 ", "1.0", "1e3", "0x1", "1_000", "١", "null", "2026-02-24T15:00:00.000Z",
		"9223372036854775808", "-9223372036854775809", strings.Repeat("9", 9000),
	})
	if o.operation == "listAppChanges" {
		return numbers
	}
	return append(numbers, "9223372036854775807", "-9223372036854775808", "253402300800000", "-62135596800001", "9224318016000000")
}

func (o listOrder) forgedTieBreakers() []string {
	ties := []string{
		"", "x\x00y", "\x00", "\xff", nilID + "\x00", nilID + "0", nilID[1:], "{" + nilID + "}", "urn:uuid:" + nilID,
		"AA7CF840-9CA9-46A3-9778-9015D6580D50", "g" + nilID[1:], nilID + " ", "'; DROP TABLE apps; --",
		strings.Repeat("a", 9000), "Is_favorite", "is favorite",
	}
	if o.operation != "listAppChanges" {
		return append(ties, "is_favorite", "1", strings.ReplaceAll(nilID, "-", ""))
	}
	return append(ties, nilID)
}

// A cursor has no signature, so a client can forge one. Every list in every order answers a position that no row can have with
// 400, like a garbled cursor.
func TestForgedCursors(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		bad := invalidField("cursor", "cursor must be a next_cursor of the same list")
		withApps(t, s.Server, "A", "B", "C")
		// Check the forgery itself: it equals the server's cursor.
		apps := listOrder{operation: "listApps", target: clientPath + "/apps", query: url.Values{}}
		own := decodeObject(t, s.step(t, "GET", apps.target+"?page_size=1", "", 200, "*"))["next_cursor"].(string)
		raw, err := base64.RawURLEncoding.DecodeString(own)
		if err != nil || apps.cursor(string(raw[8:])) != own {
			t.Fatalf("the server's cursor is %s, not %s", own, apps.cursor(string(raw[8:])))
		}
		for _, o := range listOrders(t) {
			s.step(t, "GET", o.url(o.cursor(o.validSortKey()+"\x00"+o.validTieBreaker())), "", 200, "*")
			for _, position := range []string{"", o.validSortKey(), "\x00", o.validTieBreaker() + "\x00" + o.validSortKey(), o.validSortKey() + "\x00\x00" + o.validTieBreaker()} {
				s.step(t, "GET", o.url(o.cursor(position)), "", 400, bad)
			}
			for _, key := range o.forgedSortKeys() {
				s.step(t, "GET", o.url(o.cursor(key+"\x00"+o.validTieBreaker())), "", 400, bad)
			}
			for _, tie := range o.forgedTieBreakers() {
				s.step(t, "GET", o.url(o.cursor(o.validSortKey()+"\x00"+tie)), "", 400, bad)
			}
		}
	})
}

// FuzzForgedCursor sends cursors of any position to every list. Both databases must give the same answer, and never a 5xx.
func FuzzForgedCursor(f *testing.F) {
	orders := listOrders(f)
	for i, o := range orders {
		f.Add(uint8(i), o.validSortKey()+"\x00"+o.validTieBreaker())
		f.Add(uint8(i), o.validSortKey()+"\x00"+o.validTieBreaker()+"\x00")
		f.Add(uint8(i), "9223372036854775807\x00"+o.validTieBreaker())
		f.Add(uint8(i), "\xff\x00"+o.validTieBreaker())
	}
	var servers []*servertest.Server
	for _, url := range []string{storetest.SQLite(f), storetest.Postgres(f)} {
		s := servertest.New(f, url)
		if err := s.Store.Seed(f.Context(), store.Dataset{Webhooks: seededWebhooks(), CatalogApps: []store.CatalogApp{{
			ID: id(newEntry), CanonicalName: "Zoom", CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
		}}}); err != nil {
			f.Fatal(err)
		}
		servers = append(servers, s)
	}
	f.Fuzz(func(t *testing.T, which uint8, position string) {
		o := orders[int(which)%len(orders)]
		target := o.url(o.cursor(position))
		if len(target) > 16000 {
			t.Skip("longer than the maximum of a cursor")
		}
		first := servers[0].Get(t, target)
		if first.Status != 200 && first.Status != 400 {
			t.Errorf("%s %q: %d %s", o.operation, position, first.Status, first.Body)
		}
		if second := servers[1].Get(t, target); second.Status != first.Status || first.Status == 400 && second.Body != first.Body {
			t.Errorf("%s %q: %d %s on SQLite, %d %s on PostgreSQL", o.operation, position, first.Status, first.Body, second.Status, second.Body)
		}
		var page struct {
			Data []json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal([]byte(first.Body), &page); first.Status == 200 && (err != nil || page.Data == nil) {
			t.Errorf("%s %q: %v, %s", o.operation, position, err, first.Body)
		}
	})
}
