// Package dataset is the data that every contender works on: made up, but the same in every run.
package dataset

import (
	"encoding/hex"
	"fmt"
)

// Size says how much data there is.
type Size struct{ Apps, Clients, Catalog int }

// bulk is how many apps the bulk operations name at once: every client has at least that many.
const bulk = 100

// Validate reports a size that the loads cannot work on.
func (s Size) Validate() error {
	if s.Catalog < 200 || s.Clients < 2 {
		return fmt.Errorf("at least 200 catalog apps and 2 clients are needed, not %d and %d", s.Catalog, s.Clients)
	}
	if s.Apps >= 1<<24 {
		return fmt.Errorf("at most %d apps have ids of their own", 1<<24-1)
	}
	if per := s.PerClient(); per < bulk || per >= s.Catalog {
		return fmt.Errorf("%d to %d apps a client are possible, not %d: change the apps, the clients or the catalog apps",
			bulk, s.Catalog-1, per)
	}
	return nil
}

// Large is how many clients have every app of the catalog: the deep pages are theirs.
func (s Size) Large() int { return min(max(s.Apps/(10*s.Catalog), 1), 4) }

// Ordinary is how many clients share the other apps, evenly.
func (s Size) Ordinary() int { return s.Clients - s.Large() }

// Spread is how many apps the ordinary clients have. App n belongs to client n modulo Ordinary.
func (s Size) Spread() int { return s.Apps - s.Large()*s.Catalog }

// PerClient is how many apps each ordinary client has at least.
func (s Size) PerClient() int {
	if s.Ordinary() <= 0 {
		return 0
	}
	return s.Spread() / s.Ordinary()
}

// DeepPageSize is the page size at which a large client's list has 200 pages, at most the usual 50.
func (s Size) DeepPageSize() int { return min(50, s.Catalog/200) }

// ID is a UUID.
type ID [16]byte

// The last digits of an id say what it is of.
const (
	SuffixApp      = "-0000-4000-8000-000000000001"
	SuffixClient   = "-0000-4000-8000-000000000002"
	suffixCatalog  = "-0000-4000-8000-000000000003"
	suffixVendor   = "-0000-4000-8000-000000000004"
	suffixCategory = "-0000-4000-8000-000000000005"
	suffixNobody   = "-0000-4000-8000-000000000009"
)

// Scatter spreads the ids over the index, as random ones are. It is odd, so that no two numbers meet, and small enough
// for a product with 24 bits to be exact in a load generator that knows floating point alone.
const Scatter = 0x1E3779B1

func makeID(n int, suffix string) string {
	return fmt.Sprintf("%08x", uint32(uint64(n)*Scatter)) + suffix //nolint:gosec // modulo 2^32 is meant
}

// AppID is the id of app n.
func AppID(n int) string { return makeID(n, SuffixApp) }

// ClientID is the id of client n. The ordinary ones come first.
func ClientID(n int) string { return makeID(n, SuffixClient) }

// NobodysID belongs to nothing.
func NobodysID() string { return makeID(1, suffixNobody) }

// Parse reads an id that this package made.
func Parse(text string) (id ID) {
	digits := make([]byte, 0, 32)
	for _, c := range []byte(text) {
		if c != '-' {
			digits = append(digits, c)
		}
	}
	_, _ = hex.Decode(id[:], digits) // made by this package
	return id
}
