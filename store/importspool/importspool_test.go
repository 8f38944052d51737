package importspool_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/clientapps/clientapps/store/importspool"
)

func text(s string) *string { return &s }

// filled returns a spool of these rows.
func filled(t *testing.T, rows ...importspool.Row[string]) *importspool.Spool[string] {
	t.Helper()
	s, err := importspool.New[string](t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for i, row := range rows {
		row.Line = i + 1
		if err := s.Add(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestProblems(t *testing.T) {
	t.Parallel()
	s := filled(t,
		importspool.Row[string]{Key: "a", Text: "A", Group: text("g"), Value: text("1")},
		importspool.Row[string]{Key: "b", Text: "B", Group: text("g")},
		importspool.Row[string]{Key: "a", Text: "a", Group: text("g"), Value: text("1")},
		importspool.Row[string]{Key: "c", Text: "C", Group: text("g"), Value: text("")},
		importspool.Row[string]{Key: "a", Text: "á", Group: text("h"), Value: text("2")},
	)
	for _, limit := range []int{1, 10} {
		found, total, err := s.Duplicates(t.Context(), limit)
		want := []importspool.Problem{{Line: 3, Text: "a", Earlier: 1}, {Line: 5, Text: "á", Earlier: 1}}
		if want = want[:min(limit, 2)]; err != nil || total != 2 || !reflect.DeepEqual(found, want) {
			t.Errorf("duplicates are %v of %d, %v; want %v of 2", found, total, err, want)
		}
	}
	found, total, err := s.Contradictions(t.Context(), 10)
	if want := []importspool.Problem{{Line: 4, Text: "C", Earlier: 1}}; err != nil || total != 1 || !reflect.DeepEqual(found, want) {
		t.Errorf("contradictions are %v of %d, %v; want %v", found, total, err, want)
	}
}

func TestBatches(t *testing.T) {
	t.Parallel()
	var rows []importspool.Row[string]
	for i := range 2*importspool.BatchRows + 1 {
		row := importspool.Row[string]{Key: fmt.Sprint(i), Group: text(fmt.Sprint(i % 7)), Body: fmt.Sprint("row ", i)}
		if i == 0 {
			row.Value = text("of the first row")
		}
		rows = append(rows, row)
	}
	s, n, batches := filled(t, rows...), 0, 0
	err := s.Each(t.Context(), func(b importspool.Batch[string]) error {
		batches++
		for _, row := range b.Rows {
			if row != fmt.Sprint("row ", n) {
				t.Fatalf("row %d is %q", n, row)
			}
			n++
		}
		want := map[string]string{"0": "of the first row"}
		if batches == 3 {
			want = map[string]string{} // its row is of group 6
		}
		if !reflect.DeepEqual(b.Values, want) {
			t.Errorf("the values of batch %d are %v, want %v", batches, b.Values, want)
		}
		return nil
	})
	if err != nil || n != len(rows) || s.Rows() != n || batches != 3 {
		t.Errorf("%d rows in %d batches, %v", n, batches, err)
	}
}

func TestSortByKey(t *testing.T) {
	t.Parallel()
	s, err := importspool.New[string](t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for i := range importspool.BatchRows + 1 {
		key := fmt.Sprintf("%04d", 9999-i)
		if err := s.Add(t.Context(), importspool.Row[string]{Line: i + 1, Key: key, Body: key}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SortByKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	highest := ""
	err = s.Each(t.Context(), func(b importspool.Batch[string]) error {
		sizes = append(sizes, len(b.Rows))
		lowest := slices.Min(b.Rows)
		if lowest <= highest {
			t.Errorf("batch %d begins at %s, behind %s", len(sizes), lowest, highest)
		}
		highest = slices.Max(b.Rows)
		return nil
	})
	if want := []int{importspool.BatchRows, 1}; err != nil || !reflect.DeepEqual(sizes, want) {
		t.Errorf("batches of %v, %v; want %v", sizes, err, want)
	}
}
