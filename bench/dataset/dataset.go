// Package dataset generates the data for all contenders. It is the same in every run.
package dataset

import (
	"encoding/hex"
	"fmt"
)

// Size is the amount of data.
type Size struct{ Apps, Clients, Catalog int }

// bulk is the number of apps in a bulk operation. Every client has at least that many.
const bulk = 100

// Validate returns an error when the loads cannot use the size.
func (s Size) Validate() error {
	if s.Catalog < 200 || s.Clients < 2 {
		return fmt.Errorf("at least 200 catalog apps and 2 clients are needed, not %d and %d", s.Catalog, s.Clients)
	}
	if s.Apps >= 1<<24 {
		return fmt.Errorf("at most %d apps have unique ids", 1<<24-1)
	}
	if per := s.PerClient(); per < bulk || per >= s.Catalog {
		return fmt.Errorf("%d to %d apps per client are possible, not %d: change the apps, the clients or the catalog apps",
			bulk, s.Catalog-1, per)
	}
	return nil
}

// Large is the number of clients that have every app of the catalog. Deep pages are measured on their lists.
func (s Size) Large() int { return min(max(s.Apps/(10*s.Catalog), 1), 4) }

// Ordinary is the number of clients that share the other apps evenly.
func (s Size) Ordinary() int { return s.Clients - s.Large() }

// Spread is the number of apps of the ordinary clients. App n belongs to client n modulo Ordinary.
func (s Size) Spread() int { return s.Apps - s.Large()*s.Catalog }

// PerClient is the least number of apps of an ordinary client.
func (s Size) PerClient() int {
	if s.Ordinary() <= 0 {
		return 0
	}
	return s.Spread() / s.Ordinary()
}

// DeepPageSize is the page size at which a large client's list has 200 pages, but at most 50.
func (s Size) DeepPageSize() int { return min(50, s.Catalog/200) }

// ID is a UUID.
type ID [16]byte

// The last digits of an id are the kind of object.
const (
	SuffixApp      = "-0000-4000-8000-000000000001"
	SuffixClient   = "-0000-4000-8000-000000000002"
	suffixCatalog  = "-0000-4000-8000-000000000003"
	suffixVendor   = "-0000-4000-8000-000000000004"
	suffixCategory = "-0000-4000-8000-000000000005"
	suffixUnknown  = "-0000-4000-8000-000000000009"
)

// Scatter spreads the ids over the index, like random ids. It is odd, so that ids are unique. It is small enough that its product with a
// number of 24 bits is exact in floating point, which wrk's Lua uses.
const Scatter = 0x1E3779B1

func makeID(n int, suffix string) string {
	return fmt.Sprintf("%08x", uint32(uint64(n)*Scatter)) + suffix //nolint:gosec // modulo 2^32 is meant
}

// AppID is the id of app n.
func AppID(n int) string { return makeID(n, SuffixApp) }

// ClientID is the id of client n. The ordinary ones come first.
func ClientID(n int) string { return makeID(n, SuffixClient) }

// UnknownID returns an id that no object has.
func UnknownID() string { return makeID(1, suffixUnknown) }

// Parse parses an id of this package.
func Parse(text string) (id ID) {
	digits := make([]byte, 0, 32)
	for _, c := range []byte(text) {
		if c != '-' {
			digits = append(digits, c)
		}
	}
	_, _ = hex.Decode(id[:], digits) // never fails for ids of this package
	return id
}
