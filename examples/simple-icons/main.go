// Command simple-icons converts the data file of the npm package simple-icons to a catalog for clientapps import. It reads
// the file from standard input and writes CSV with the names and colors of the brands to standard output.
//
// The package has no other fields of a catalog app: its sources are pages about a brand, not logos. So there are no other
// columns, and an import keeps the values of the other fields.
package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/clientapps/clientapps/store/casefold"
)

func main() {
	if err := convert(os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "simple-icons:", err)
		os.Exit(1)
	}
}

// brand has the used fields of an entry.
type brand struct {
	Title string `json:"title"`
	Slug  string `json:"slug"`
	Hex   string `json:"hex"`
}

// convert names brands by their titles. Names in a catalog must be unique, ignoring case. When several brands have the same
// title, the first keeps it, and the others add the slug, which is unique in the package.
func convert(r io.Reader, w io.Writer) error {
	var brands []brand
	if err := json.NewDecoder(r).Decode(&brands); err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	titled := map[string]bool{}
	for _, b := range brands {
		titled[casefold.Name(b.Title)] = true
	}
	out := csv.NewWriter(w)
	err := out.Write([]string{"canonical_name", "display_colour"})
	taken := map[string]bool{}
	for _, b := range brands {
		name := b.Title
		if taken[casefold.Name(name)] {
			name = fmt.Sprintf("%s (%s)", b.Title, b.Slug)
			if titled[casefold.Name(name)] || taken[casefold.Name(name)] {
				return fmt.Errorf("there are two brands called %s", name)
			}
		}
		taken[casefold.Name(name)] = true
		err = errors.Join(err, out.Write([]string{name, "#" + b.Hex}))
	}
	out.Flush()
	return errors.Join(err, out.Error())
}
