package store_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestUpdateAppsConditionsConcurrently has writers on two servers count up the licenses of two apps, each under the condition that it has
// seen the last count, while the catalog changes all the time. No count is lost, and with "all or none" both apps have the same count in the end.
func TestUpdateAppsConditionsConcurrently(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		for name, atomically := range map[string]bool{"each": false, "all or none": true} {
			data, ids := bulkData(2)
			s := openSeeded(t, url, data)
			servers := []*store.Store{s, storetest.Open(t, url)}
			keys := []store.AppKey{{ClientID: idOf("Contoso"), ID: ids[0]}, {ClientID: idOf("Contoso"), ID: ids[1]}}
			zero := []store.AppUpdate{{ID: ids[0], Fields: licenses(0)}, {ID: ids[1], Fields: licenses(0)}}
			must(s.UpdateApps(t.Context(), idOf("Contoso"), zero, true, alice))(t)
			var counted [2]atomic.Int32
			var writers, catalogWriters sync.WaitGroup
			done := make(chan struct{})
			for n := range 4 {
				writers.Go(func() {
					for range 10 {
						countUp(t, servers[n%2], keys, n%2 == 1, atomically, &counted)
					}
				})
			}
			for entry := range 2 {
				catalogWriters.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-done:
							return
						default:
						}
						fields := store.Fields{store.ColumnDescription: strconv.Itoa(n)}
						must(s.UpdateCatalogApp(t.Context(), idOf(fmt.Sprint("App ", entry)), fields, nil, alice, nil))(t)
					}
				})
			}
			writers.Wait()
			close(done)
			catalogWriters.Wait()
			for i, key := range keys {
				if got := get(t, s, key); *got.LicenseCount != counted[i].Load() {
					t.Errorf("%s: %d licenses, %d were counted", name, *got.LicenseCount, counted[i].Load())
				}
			}
			if first, second := counted[0].Load(), counted[1].Load(); first == 0 || atomically && first != second {
				t.Errorf("%s: counted %d and %d", name, first, second)
			}
		}
	})
}

func licenses(n int32) store.Fields { return store.Fields{store.ColumnLicenseCount: n} }

// countUp adds one to the licenses of apps that have not changed since they were read.
func countUp(t *testing.T, s *store.Store, keys []store.AppKey, backwards, atomically bool, counted *[2]atomic.Int32) {
	t.Helper()
	var updates []store.AppUpdate
	places := []int{0, 1}
	if backwards {
		places = []int{1, 0}
	}
	for _, i := range places {
		seen := get(t, s, keys[i])
		updates = append(updates, store.AppUpdate{
			ID: keys[i].ID, Fields: licenses(*seen.LicenseCount + 1), Match: &store.IfMatch{Tags: []string{seen.ETag()}},
		})
	}
	outcomes, err := s.UpdateApps(t.Context(), keys[0].ClientID, updates, atomically, alice)
	if err != nil {
		t.Error(err)
		return
	}
	for at, outcome := range outcomes {
		stale := (*store.PreconditionError)(nil)
		switch {
		case outcome == nil:
			counted[places[at]].Add(1)
		case !errors.As(outcome, &stale) && !errors.Is(outcome, store.ErrNotAttempted):
			t.Error(outcome)
		}
	}
}
