package conformance

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

type page struct {
	Data       []json.RawMessage
	TotalCount int     `json:"total_count"`
	NextCursor *string `json:"next_cursor"`
}

func (f *fixture) page(t *testing.T, target string) (page, *servertest.Response) {
	t.Helper()
	r := f.Get(t, target)
	f.expect(t, r, 200, "GET "+target)
	var p page
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
		t.Errorf("GET %s: %v", target, err)
	}
	return p, r
}

// checkList checks a list: pages of one row add up to the whole, asc is the reverse of desc, and a cursor is valid only for its
// own list.
func (f *fixture) checkList(t *testing.T, op *Operation) {
	t.Helper()
	target := op.Target(nil)
	whole, _ := f.page(t, target+"?page_size=500")
	if len(whole.Data) < 1 || whole.TotalCount != len(whole.Data) || whole.NextCursor != nil {
		t.Errorf("%s: %d rows, total_count %d, next_cursor %v", op.ID, len(whole.Data), whole.TotalCount, whole.NextCursor)
	}
	orders := []string{""}
	if by := op.Param("sort_by"); by != nil {
		for _, column := range by.Schema.Value.Enum {
			orders = append(orders, fmt.Sprintf("sort_by=%s&sort_order=asc&", column), fmt.Sprintf("sort_by=%s&sort_order=desc&", column))
		}
	}
	var ascending []json.RawMessage
	var foreign string
	for i, order := range orders {
		rows, cursor := f.walk(t, op, target, order)
		switch {
		case i == 0 || i%2 == 1:
			ascending = rows
		default:
			slices.Reverse(rows)
			if text(rows) != text(ascending) {
				t.Errorf("%s %s is not the reverse: %s\n%s", op.ID, order, text(rows), text(ascending))
			}
		}
		if i == 1 && text(rows) != text(whole.Data) {
			t.Errorf("%s: the default order is not %s", op.ID, order)
		}
		if foreign != "" && i == 2 {
			r := f.Get(t, target+"?"+order+"cursor="+foreign)
			if err := refused("cursor", "").Check(r); err != nil {
				t.Errorf("%s with the cursor of another order: %v", op.ID, err)
			}
		}
		foreign = cursor
	}
	f.checkFilters(t, op, whole)
}

// checkFeed checks a feed: pages of one row add up to the whole, its end is empty, and a cursor is valid only with its own filters.
func (f *fixture) checkFeed(t *testing.T, op *Operation) {
	t.Helper()
	type feed struct {
		Data       []json.RawMessage
		NextCursor string `json:"next_cursor"`
		HasMore    bool   `json:"has_more"`
	}
	read := func(query string) (p feed) {
		r := f.Get(t, op.Target(nil)+"?"+query)
		f.expect(t, r, 200, op.ID+" "+query)
		if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
			t.Errorf("%s %s: %v", op.ID, query, err)
		}
		return p
	}
	var whole feed
	storetest.Poll(func() bool { // while a transaction of another test is open
		whole = read("page_size=500")
		return len(whole.Data) > 0
	})
	var rows []json.RawMessage
	next, query := feed{HasMore: true}, "page_size=1"
	for range 100 {
		if !next.HasMore {
			break
		}
		next = read(query)
		rows, query = append(rows, next.Data...), "page_size=1&cursor="+next.NextCursor
	}
	if len(whole.Data) == 0 || whole.HasMore || text(rows) != text(whole.Data) {
		t.Errorf("%s has %s, and row by row %s", op.ID, text(whole.Data), text(rows))
	}
	if next = read("cursor=" + whole.NextCursor); len(next.Data) != 0 || next.HasMore {
		t.Errorf("%s goes on behind its end: %+v", op.ID, next)
	}
	if op.Param("field") == nil {
		return
	}
	r := f.Get(t, op.Target(nil)+"?field=app&cursor="+whole.NextCursor)
	if err := refused("cursor", "").Check(r); err != nil {
		t.Errorf("%s with the cursor of another filter: %v", op.ID, err)
	}
}

// walk reads a list row by row. It returns the rows and one of the cursors.
func (f *fixture) walk(t *testing.T, op *Operation, target, order string) (rows []json.RawMessage, cursor string) {
	t.Helper()
	next := ""
	for range 50 {
		p, r := f.page(t, target+"?"+order+"page_size=1"+next)
		if len(p.Data) != 1 {
			t.Errorf("%s %s: a page of %d", op.ID, order, len(p.Data))
			return rows, cursor
		}
		rows = append(rows, p.Data...)
		link := r.Header.Get("Link")
		if p.NextCursor == nil {
			if len(rows) != p.TotalCount || link != "" {
				t.Errorf("%s %s ends after %d of %d rows, Link %q", op.ID, order, len(rows), p.TotalCount, link)
			}
			return rows, cursor
		}
		cursor = *p.NextCursor
		next = "&cursor=" + url.QueryEscape(cursor)
		followed, _, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
		if a, b := f.Get(t, followed), f.Get(t, target+"?"+order+"page_size=1"+next); a.Body != b.Body {
			t.Errorf("%s: Link leads to %s, next_cursor to %s", op.ID, a.Body, b.Body)
		}
	}
	t.Errorf("%s %s does not end", op.ID, order)
	return rows, cursor
}

// checkFilters checks that a filter selects all the rows that match it, and no others.
func (f *fixture) checkFilters(t *testing.T, op *Operation, whole page) {
	t.Helper()
	for _, p := range op.Params {
		if p.In != "query" || !p.Schema.Value.Type.Is("boolean") {
			continue
		}
		for _, value := range []string{"true", "false"} {
			var want []json.RawMessage
			for _, row := range whole.Data {
				if strings.Contains(string(row), fmt.Sprintf("%q:%s", p.Name, value)) {
					want = append(want, row)
				}
			}
			got, _ := f.page(t, op.Target(nil)+"?"+p.Name+"="+value)
			if text(got.Data) != text(want) || got.TotalCount != len(want) {
				t.Errorf("%s %s=%s: %s, want %s", op.ID, p.Name, value, text(got.Data), text(want))
			}
		}
	}
	if op.Param("q") == nil {
		return
	}
	for _, q := range []string{"%", "_", `\`} {
		if got, _ := f.page(t, op.Target(nil)+"?q="+url.QueryEscape(q)); len(got.Data) != 0 || got.TotalCount != 0 {
			t.Errorf("%s q=%s finds %s", op.ID, q, text(got.Data))
		}
	}
	var first map[string]any
	if err := json.Unmarshal(whole.Data[0], &first); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"name", "canonical_name", "pattern", "alias"} {
		if entry, ok := first["catalog_app"].(map[string]any); ok {
			first = entry
		}
		word, ok := first[name].(string)
		if !ok {
			continue
		}
		for _, q := range []string{word, strings.ToUpper(word), word[1 : len(word)-1]} {
			if got, _ := f.page(t, op.Target(nil)+"?q="+url.QueryEscape(q)); len(got.Data) == 0 || string(got.Data[0]) != string(whole.Data[0]) {
				t.Errorf("%s q=%s finds %s", op.ID, q, text(got.Data))
			}
		}
	}
}

func text(rows []json.RawMessage) string { return fmt.Sprintf("%s", rows) }
